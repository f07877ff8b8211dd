import { useMemo } from "react";
import { Link } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Change, Changes } from "~/api/types";
import { Filters, TextFilter } from "~/parts/filters";
import { Page, VerdictLine } from "~/parts/page";
import { Segments } from "~/parts/segments";
import { Answer, Empty } from "~/parts/states";
import { compact, duration, moment, percent, plural } from "~/state/format";
import { parseTime } from "~/state/time";
import { useHref, useRange, useUrl } from "~/state/url";
import css from "./changes.module.css";

/** What changed at a time: before it and after. */
export function ChangesPage() {
  const url = useUrl();
  const range = useRange("1h");
  const at = url.get("at");
  const window = url.get("window") || "30m";
  const asked = useMemo(
    () => ({ at: parseTime(at || middleOf(range.since), new Date())?.toISOString() ?? at, window }),
    [at, range.since, window],
  );
  const found = useAnswer<Changes>("/changes", asked, { still: true });
  return (
    <Page title="Changes" about="What differs before and after a time">
      <Filters names={["at", "window"]}>
        <TextFilter name="at" label="At" placeholder={middleOf(range.since)} wide />
        <TextFilter name="window" label="Before and after" placeholder="30m" />
      </Filters>
      <Answer of={found}>{(changes) => <Loaded changes={changes} />}</Answer>
    </Page>
  );
}

/** Where nothing is said: half an hour ago, or when the range begins. */
function middleOf(since: string): string {
  return since === "1h" ? "30m" : since;
}

function Loaded({ changes }: { changes: Changes }) {
  const url = useUrl();
  const { before, after } = changes;
  const kinds = [...new Set(changes.changes.map((change) => change.kind))];
  const kind = url.get("kind");
  const shown = changes.changes.filter((change) => !kind || change.kind === kind);
  return (
    <>
      <VerdictLine tone={changes.changes.length ? "warn" : "good"}>{changes.verdict}</VerdictLine>
      <div className="line">
        <p className="soft">
          <b>{moment(changes.at)}</b>: {plural(changes.requests_before, "request")} since{" "}
          {moment(before.since)} against {plural(changes.requests_after, "request")} until{" "}
          {moment(after.until)}
        </p>
        {kinds.length > 1 && (
          <Segments
            name="kind"
            label="Kind"
            choices={[
              { value: "", label: "All" },
              ...kinds.map((one) => ({ value: one, label: KINDS[one].word })),
            ]}
          />
        )}
      </div>
      {shown.length === 0 ? (
        <div className="card">
          <Empty title="Nothing changed that stands out">
            Try another time, or a longer one before and after.
          </Empty>
        </div>
      ) : (
        <ol className={`card ${css.changes}`}>
          {shown.map((change, index) => (
            <OneChange key={index} change={change} />
          ))}
        </ol>
      )}
      {changes.others > 0 && (
        <p className="soft">{plural(changes.others, "smaller change")} are not shown.</p>
      )}
    </>
  );
}

const KINDS: Record<Change["kind"], { word: string; tone?: string }> = {
  service: { word: "service", tone: "accent" },
  version: { word: "version", tone: "accent" },
  model: { word: "model", tone: "accent" },
  error: { word: "error", tone: "bad" },
  error_rate: { word: "error rate", tone: "bad" },
  latency: { word: "latency", tone: "warn" },
  volume: { word: "volume" },
  log: { word: "log" },
};

const FORMATS: Record<Change["unit"], (value: number) => string> = {
  count: compact,
  ms: duration,
  share: percent,
};

function OneChange({ change }: { change: Change }) {
  const href = useHref();
  const { word, tone } = KINDS[change.kind];
  const format = FORMATS[change.unit];
  const most = Math.max(change.before, change.after) || 1;
  return (
    <li className={css.change} data-testid="change">
      <span className="chip" data-tone={tone}>
        {word}
      </span>
      <div className={css.what}>
        <p className={css.summary}>{change.summary}</p>
        <p className="soft">
          {change.first_seen && <>first {moment(change.first_seen)} · </>}
          <span title="Standard errors apart">z {change.z.toFixed(1)}</span>
          {change.trace_id && (
            <>
              {" · "}
              <Link to={href(`/trace/${change.trace_id}`)}>an example</Link>
            </>
          )}
        </p>
      </div>
      <dl className={css.figures}>
        <Side label="before" value={format(change.before)} share={change.before / most} />
        <Side label="after" value={format(change.after)} share={change.after / most} />
      </dl>
    </li>
  );
}

function Side({ label, value, share }: { label: string; value: string; share: number }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        <span className={css.bar}>
          <span data-after={label === "after" || undefined} style={{ width: `${share * 100}%` }} />
        </span>
      </dd>
    </div>
  );
}
