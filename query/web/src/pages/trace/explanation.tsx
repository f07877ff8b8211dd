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
import { duration, moment, percent, plural, times } from "~/state/format";
import type { Model } from "~/timeline/model";
import css from "./explanation.module.css";

const OUTCOMES: Record<Explanation["outcome"], { icon: LucideIcon; tone: string }> = {
  failed: { icon: CircleAlert, tone: "bad" },
  slow: { icon: Clock, tone: "warn" },
  normal: { icon: CircleCheck, tone: "good" },
  unknown: { icon: CircleHelp, tone: "soft" },
};

const KINDS: Record<Finding["kind"], LucideIcon> = {
  error: CircleAlert,
  slow: Clock,
  missing: SearchX,
  log: FileWarning,
  repeated: Repeat,
  waiting: Hourglass,
};

const FIRST = 6;

interface VerdictProps {
  of: { data: Explanation | undefined; error: Error | null };
  open: boolean;
  onToggle: () => void;
}

/** In one sentence why it was slow or failed. */
export function Verdict({ of, open, onToggle }: VerdictProps) {
  if (of.error && !of.data) {
    return <p className={`${css.verdict} soft`}>There is no explanation: {of.error.message}</p>;
  }
  if (!of.data) {
    return (
      <div className={css.verdict}>
        <Skeleton height={18} width="60%" />
      </div>
    );
  }
  const { icon: Icon, tone } = OUTCOMES[of.data.outcome];
  return (
    <div className={css.verdict} data-tone={tone} data-testid="verdict">
      <Icon size={17} role="img" aria-label={of.data.outcome} className={tone} />
      <p>{of.data.verdict}</p>
      <button type="button" className="button" data-small aria-expanded={open} onClick={onToggle}>
        Why
        <ChevronDown size={14} aria-hidden="true" className={open ? css.up : undefined} />
      </button>
    </div>
  );
}

interface Props {
  explanation: Explanation;
  model: Model;
  onShow: (key: string) => void;
}

/** The findings, the most telling first, each a way to its span. */
export function ExplanationPanel({ explanation, model, onShow }: Props) {
  const unusual = explanation.spans.filter((span) => span.unusual);
  const nothing = !explanation.findings.length && !unusual.length && !explanation.missing.length;
  return (
    <section className={css.panel} aria-label="Explanation" data-testid="explanation">
      <h2>Why</h2>
      {nothing && <p className="soft">Nothing about this request stands out.</p>}
      <Findings findings={explanation.findings} model={model} onShow={onShow} />
      {unusual.length > 0 && <Unusual spans={unusual} since={explanation.baseline_since} onShow={onShow} />}
      {explanation.missing.length > 0 && (
        <Missing spans={explanation.missing} model={model} onShow={onShow} />
      )}
    </section>
  );
}

function Findings({ findings, model, onShow }: Omit<Props, "explanation"> & { findings: Finding[] }) {
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
        Slower than usual <span className="soft">since {moment(since)}</span>
      </h3>
      <ul className={css.compared}>
        {spans.slice(0, 6).map((span) => (
          <li key={span.span_id}>
            <span className={css.pair}>
              <button type="button" className={css.link} onClick={() => onShow(span.span_id)}>
                {span.name}
              </button>
              <span className="soft ellipsis">{span.service_name}</span>
              <b>{duration(span.duration_ms)}</b>
              {span.times_usual !== null && span.times_usual >= 1.05 && (
                <span className="chip" data-tone="warn">
                  {times(span.times_usual)} ×
                </span>
              )}
            </span>
            {span.baseline && (
              <span className="soft">
                usually {duration(span.baseline.p50_ms)}, p95 {duration(span.baseline.p95_ms)} of{" "}
                {plural(span.baseline.count, "time")}
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

const WHY: Record<MissingSpan["why"], string> = {
  parent: "named as a parent, not stored",
  log: "named by a log, not stored",
  caller: "called from elsewhere, which is not stored",
  usual: "usual for such requests",
};

function Missing({ spans, model, onShow }: Omit<Props, "explanation"> & { spans: MissingSpan[] }) {
  return (
    <div className={css.block}>
      <h3>Not here</h3>
      <ul className={css.compared}>
        {spans.slice(0, 6).map((span, index) => {
          const child = model.entries.find(
            ({ node }) => span.span_id && node.parent_span_id === span.span_id,
          );
          return (
            <li key={index}>
              <span className={css.pair}>
                {child ? (
                  <button type="button" className={css.link} onClick={() => onShow(child.node.span_id)}>
                    {span.name ?? span.span_id}
                  </button>
                ) : (
                  <span className={css.what}>{span.name ?? span.span_id}</span>
                )}
                <span className="soft">{span.service_name}</span>
              </span>
              <span className="soft">
                {WHY[span.why]}
                {span.share === null ? "" : `: in ${percent(span.share)} of them`}
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
