import {
  ChevronDown,
  CircleAlert,
  CircleCheck,
  CircleHelp,
  Clock,
  FileWarning,
  Hourglass,
  type LucideIcon,
  Repeat,
  SearchX,
} from "lucide-react";
import { useState } from "react";
import type { Explanation, Finding, MissingSpan, SpanComparison } from "~/api/types";
import { Skeleton } from "~/parts/states";
import { duration, percent, plural } from "~/state/format";
import type { Model } from "~/timeline/model";
import css from "./explanation.module.css";

interface Props {
  of: { data: Explanation | undefined; error: Error | null };
  model: Model;
  onShow: (key: string) => void;
}

const OUTCOMES: Record<Explanation["outcome"], { icon: LucideIcon; tone: string; word: string }> = {
  failed: { icon: CircleAlert, tone: "bad", word: "Failed" },
  slow: { icon: Clock, tone: "warn", word: "Slow" },
  normal: { icon: CircleCheck, tone: "good", word: "As usual" },
  unknown: { icon: CircleHelp, tone: "soft", word: "Unknown" },
};

const KINDS: Record<Finding["kind"], LucideIcon> = {
  error: CircleAlert,
  slow: Clock,
  missing: SearchX,
  log: FileWarning,
  repeated: Repeat,
  waiting: Hourglass,
};

const FIRST = 4;

/** Why it was slow or failed: one sentence, then the findings, each a way to its span. */
export function ExplanationPanel({ of, model, onShow }: Props) {
  const [open, setOpen] = useState<boolean | null>(null);
  if (of.error && !of.data) {
    return <p className={`${css.panel} ${css.none}`}>There is no explanation: {of.error.message}</p>;
  }
  if (!of.data) {
    return (
      <div className={css.panel}>
        <Skeleton height={18} width="60%" />
      </div>
    );
  }
  const { data } = of;
  const { icon: Icon, tone, word } = OUTCOMES[data.outcome];
  const shown = open ?? (data.outcome === "failed" || data.outcome === "slow");
  const unusual = data.spans.filter((span) => span.unusual);
  const more = data.findings.length > 0 || unusual.length > 0 || data.missing.length > 0;
  return (
    <section className={css.panel} aria-label="Explanation" data-tone={tone} data-testid="explanation">
      <div className={css.verdict}>
        <Icon size={17} aria-hidden="true" className={tone} />
        <p>
          <b className={tone}>{word}.</b> {data.verdict}
        </p>
        {more && (
          <button
            type="button"
            className="button"
            data-small
            data-plain
            aria-expanded={shown}
            onClick={() => setOpen(!shown)}
          >
            Why
            <ChevronDown size={14} aria-hidden="true" className={shown ? css.up : undefined} />
          </button>
        )}
      </div>
      {shown && more && (
        <div className={css.more}>
          <Findings findings={data.findings} model={model} onShow={onShow} />
          {unusual.length > 0 && <Unusual spans={unusual} since={data.baseline_since} onShow={onShow} />}
          {data.missing.length > 0 && <Missing spans={data.missing} model={model} onShow={onShow} />}
        </div>
      )}
    </section>
  );
}

function Findings({
  findings,
  model,
  onShow,
}: {
  findings: Finding[];
  model: Model;
  onShow: (key: string) => void;
}) {
  const [all, setAll] = useState(false);
  const shown = all ? findings : findings.slice(0, FIRST);
  return (
    <>
      <ol className={css.findings}>
        {shown.map((finding, index) => {
          const Icon = KINDS[finding.kind];
          const target = finding.span_id && model.byId.has(finding.span_id) ? finding.span_id : null;
          return (
            <li key={index}>
              <button
                type="button"
                className={css.finding}
                disabled={!target}
                data-kind={finding.kind}
                data-testid="finding"
                onClick={() => target && onShow(target)}
              >
                <Icon size={15} aria-hidden="true" />
                <span className={css.text}>
                  <span className={css.what}>{finding.title}</span>
                  {finding.detail && <span className={css.detail}>{finding.detail}</span>}
                </span>
                <span className={css.weight} title={`explains ${percent(finding.weight)}`}>
                  <span style={{ width: `${Math.max(4, finding.weight * 100)}%` }} />
                </span>
              </button>
            </li>
          );
        })}
      </ol>
      {findings.length > FIRST && (
        <button type="button" className="button" data-small data-plain onClick={() => setAll(!all)}>
          {all ? "Fewer" : `${findings.length - FIRST} more`}
        </button>
      )}
    </>
  );
}

interface UnusualProps {
  spans: SpanComparison[];
  since: string;
  onShow: (key: string) => void;
}

/** Spans against how the same operation went on the day before. */
function Unusual({ spans, since, onShow }: UnusualProps) {
  return (
    <div className={css.block}>
      <h3>
        Slower than usual <span className="soft">since {new Date(since).toLocaleString("en-GB")}</span>
      </h3>
      <ul className={css.compared}>
        {spans.slice(0, 5).map((span) => (
          <li key={span.span_id}>
            <button type="button" className={css.link} onClick={() => onShow(span.span_id)}>
              {span.name}
            </button>
            <span className="soft">{span.service_name}</span>
            <b>{duration(span.duration_ms)}</b>
            {span.baseline && (
              <span className="soft">
                usually {duration(span.baseline.p50_ms)}, p95 {duration(span.baseline.p95_ms)} of{" "}
                {plural(span.baseline.count, "time")}
              </span>
            )}
            {span.times_usual && span.times_usual >= 1.05 && (
              <span className="chip" data-tone="warn">
                {span.times_usual.toFixed(span.times_usual < 10 ? 1 : 0)} ×
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

const WHY: Record<MissingSpan["why"], string> = {
  parent: "is named as a parent and is not stored",
  log: "is named by a log and is not stored",
  usual: "is there in most traces of this kind, not in this one",
};

function Missing({
  spans,
  model,
  onShow,
}: {
  spans: MissingSpan[];
  model: Model;
  onShow: (key: string) => void;
}) {
  return (
    <div className={css.block}>
      <h3>Not here</h3>
      <ul className={css.compared}>
        {spans.slice(0, 5).map((span, index) => {
          const child = model.entries.find((entry) => entry.node.parent_span_id === span.span_id)?.node
            .span_id;
          return (
            <li key={index}>
              {child && span.span_id ? (
                <button type="button" className={css.link} onClick={() => onShow(child)}>
                  {span.name ?? span.span_id}
                </button>
              ) : (
                <b className={span.name ? undefined : "mono"}>{span.name ?? span.span_id}</b>
              )}
              <span className="soft">
                {span.service_name} {WHY[span.why]}
                {span.share === null ? "" : ` (${percent(span.share)})`}
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
