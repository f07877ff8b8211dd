import { Link } from "react-router";
import type { LogRow } from "~/api/types";
import { dollars, duration } from "~/state/format";
import { useHref } from "~/state/url";
import { Copy } from "./copy";
import { Id } from "./ids";
import css from "./log-fields.module.css";
import { Values } from "./values";

interface Props {
  log: LogRow;
  /** It is shown within its trace: no way there is needed. */
  inTrace?: boolean;
}

/** Everything that is stored of one log. */
export function LogFields({ log, inTrace }: Props) {
  const href = useHref();
  const plain = {
    ...(log.logger && { logger: log.logger }),
    ...(log.service_name && { service: log.service_name }),
    ...(log.environment && { environment: log.environment }),
    ...(log.version && { version: log.version }),
    ...(log.host && { host: log.host }),
    ...(log.duration_ms !== null && { duration: duration(log.duration_ms) }),
    ...(log.cost_usd !== null && { cost: dollars(log.cost_usd) }),
  };
  return (
    <div className={css.fields}>
      {!inTrace && log.trace_id && (
        <Link
          className="button"
          data-small
          to={href(`/trace/${log.trace_id}`, { span: log.span_id })}
          data-testid="log-trace"
        >
          Show the trace
        </Link>
      )}
      <div className={css.ids}>
        <span className="soft">
          {log.timestamp} <Copy value={log.timestamp} label="time" />
        </span>
        {!inTrace && log.trace_id && <Id label="Trace" value={log.trace_id} />}
        {log.span_id && <Id label="Span" value={log.span_id} />}
        {log.request_id && (
          <Id label="Request" value={log.request_id} to={{ path: "/logs", param: "request" }} />
        )}
        {log.user_id && <Id label="User" value={log.user_id} to={{ path: "/logs", param: "user" }} />}
        {log.session_id && (
          <Id label="Session" value={log.session_id} to={{ path: "/logs", param: "session" }} />
        )}
        {log.tenant_id && <Id label="Tenant" value={log.tenant_id} to={{ path: "/logs", param: "tenant" }} />}
      </div>
      {log.error && (
        <section>
          <h3 className="bad">Error</h3>
          <pre className={css.block}>{log.error}</pre>
        </section>
      )}
      {log.stack_trace && (
        <section>
          <h3>
            Stack trace <Copy value={log.stack_trace} label="stack trace" />
          </h3>
          <pre className={css.block}>{log.stack_trace}</pre>
        </section>
      )}
      <Values of={{ ...plain, ...log.metrics, ...log.context }} none="It has no fields." />
    </div>
  );
}
