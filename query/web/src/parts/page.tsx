import type { ReactNode } from "react";
import css from "./page.module.css";
import { useTitle } from "./title";

interface Props {
  title: string;
  /** What the page answers, in a line. */
  about?: ReactNode;
  actions?: ReactNode;
  /** The list of the page takes the height that is left. */
  full?: boolean;
  children: ReactNode;
}

export function Page({ title, about, actions, full, children }: Props) {
  useTitle(title);
  return (
    <div className={full ? `${css.page} ${css.full}` : css.page}>
      <header className={css.head}>
        <h1>{title}</h1>
        {about && <p className="soft">{about}</p>}
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** A sentence that answers the question of the page. */
export function VerdictLine({ children, tone }: { children: ReactNode; tone?: string }) {
  return (
    <p className={css.verdict} data-tone={tone} data-testid="verdict">
      {children}
    </p>
  );
}
