import { CircleAlert, Inbox, KeyRound, RotateCw } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError } from "~/api/client";
import { askForToken } from "~/state/token";
import css from "./states.module.css";

/** A grey shape where something will be. */
export function Skeleton({ height = 16, width }: { height?: number; width?: number | string }) {
  return <span className={css.skeleton} style={{ height, width: width ?? "100%" }} aria-hidden="true" />;
}

export function SkeletonRows({ rows = 8, height = 18 }: { rows?: number; height?: number }) {
  return (
    <div className={css.rows} role="status">
      <span className="sr-only">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <Skeleton key={index} height={height} width={`${96 - ((index * 17) % 30)}%`} />
      ))}
    </div>
  );
}

interface EmptyProps {
  title: string;
  children?: ReactNode;
}

export function Empty({ title, children }: EmptyProps) {
  return (
    <div className={css.state} data-testid="empty">
      <Inbox size={22} aria-hidden="true" />
      <p className={css.title}>{title}</p>
      {children && <div className={css.detail}>{children}</div>}
    </div>
  );
}

interface FailureProps {
  error: Error;
  /** What it is called here if what was asked cannot be answered. */
  refused?: string;
  onRetry?: () => void;
}

/** What the server says went wrong, and what can be done. */
export function Failure({ error, refused = "That cannot be asked", onRetry }: FailureProps) {
  const status = error instanceof ApiError ? error.status : null;
  const wrong = status === 400 || status === 422;
  const title = wrong ? refused : error instanceof ApiError ? error.title : "The page failed";
  return (
    <div className={css.state} role="alert" data-testid="failure">
      <CircleAlert size={22} className="bad" aria-hidden="true" />
      <p className={css.title}>
        {title}
        {status && !wrong ? <span className="soft"> · {status}</span> : null}
      </p>
      <p className={css.detail}>{wrong ? error.message.replace(/^\w+: /, "") : error.message}</p>
      <div className="line">
        {status === 401 && (
          <button type="button" className="button" onClick={() => askForToken()}>
            <KeyRound size={14} aria-hidden="true" />
            Enter a token
          </button>
        )}
        {onRetry && !wrong && (
          <button type="button" className="button" onClick={onRetry}>
            <RotateCw size={14} aria-hidden="true" />
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

interface Result<T> {
  data: T | undefined;
  error: Error | null;
  refetch: () => unknown;
  isPlaceholderData?: boolean;
}

interface AnswerProps<T> {
  of: Result<T>;
  loading?: ReactNode;
  refused?: string;
  children: (data: T) => ReactNode;
}

/** Show an answer, or that it is on its way, or why there is none. */
export function Answer<T>({ of, loading, refused, children }: AnswerProps<T>) {
  if (of.error && of.data === undefined) {
    return <Failure error={of.error} {...(refused && { refused })} onRetry={() => of.refetch()} />;
  }
  if (of.data === undefined) {
    return (
      loading ?? (
        <div className="card">
          <SkeletonRows />
        </div>
      )
    );
  }
  return (
    <div
      className={of.isPlaceholderData ? css.old : css.current}
      aria-busy={of.isPlaceholderData || undefined}
    >
      {of.error && (
        <p className={css.stale} role="alert">
          Could not be renewed: {of.error.message}
        </p>
      )}
      {children(of.data)}
    </div>
  );
}
