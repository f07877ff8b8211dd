import { ExternalLink, ScrollText } from "lucide-react";
import { Link } from "react-router";
import type { TraceAnswer } from "~/api/types";
import { Id } from "~/parts/ids";
import { count, dollars, duration, link, moment, plural } from "~/state/format";
import { useHref } from "~/state/url";
import css from "./trace.module.css";

/** What a request was, whose it was, how long it took and what it cost. */
export function TraceHead({ trace }: { trace: TraceAnswer }) {
  const href = useHref();
  const langsmith = link(trace.langsmith_url);
  return (
    <header className={css.head}>
      <div className={css.title}>
        <h1 className="ellipsis" title={trace.root_name ?? undefined}>
          {trace.root_name ?? "Logs without spans"}
        </h1>
        {trace.failed_spans > 0 ? (
          <span className="chip" data-tone="bad">
            {plural(trace.failed_spans, "failed span")}
          </span>
        ) : (
          <span className="chip" data-tone="good">
            ok
          </span>
        )}
        {trace.truncated && (
          <span className="chip" data-tone="warn" title="There are more spans or logs than are shown">
            not all shown
          </span>
        )}
        <span className={css.actions}>
          <Link
            className="button"
            data-small
            to={href("/logs", { trace: trace.trace_id, since: "30d", until: null })}
          >
            <ScrollText size={14} aria-hidden="true" />
            Logs
          </Link>
          {langsmith && (
            <a className="button" data-small href={langsmith} target="_blank" rel="noopener noreferrer">
              <ExternalLink size={14} aria-hidden="true" />
              LangSmith
            </a>
          )}
        </span>
      </div>
      <dl className={css.facts}>
        <Fact label="Took">{duration(trace.duration_ms)}</Fact>
        <Fact label="Began">
          <time dateTime={trace.start_time} title={trace.start_time}>
            {moment(trace.start_time)}
          </time>
        </Fact>
        <Fact label="Spans">{count(trace.spans.length)}</Fact>
        <Fact label="Logs">{count(trace.logs.length)}</Fact>
        <Fact label="Services">{trace.services.length}</Fact>
        {trace.tokens && (
          <Fact label="Tokens" title={`${count(trace.tokens.input)} in, ${count(trace.tokens.output)} out`}>
            {count(trace.tokens.total)}
          </Fact>
        )}
        {trace.cost && (
          <Fact label="Cost" title={trace.cost.is_computed ? "by list prices" : "as the services say"}>
            {dollars(trace.cost.usd)}
          </Fact>
        )}
      </dl>
      <div className={css.ids}>
        <Id label="Trace" value={trace.trace_id} />
        {trace.request_id && (
          <Id label="Request" value={trace.request_id} to={{ path: "/logs", param: "request" }} />
        )}
        {trace.user_id && <Id label="User" value={trace.user_id} to={{ path: "/search", param: "user" }} />}
        {trace.session_id && (
          <Id label="Session" value={trace.session_id} to={{ path: "/search", param: "session" }} />
        )}
        {trace.tenant_id && (
          <Id label="Tenant" value={trace.tenant_id} to={{ path: "/search", param: "tenant" }} />
        )}
        {trace.langsmith_note && <span className="soft">LangSmith: {trace.langsmith_note}</span>}
      </div>
    </header>
  );
}

function Fact({ label, title, children }: { label: string; title?: string; children: React.ReactNode }) {
  return (
    <div title={title}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
