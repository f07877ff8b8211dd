import { Link } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Comparison, Estimate, ValueGroup } from "~/api/types";
import { useAttributes, useOperations, useServices } from "~/parts/catalogue";
import { Filters, TextFilter } from "~/parts/filters";
import { Page, VerdictLine } from "~/parts/page";
import { Answer, Empty } from "~/parts/states";
import { count, dollars, duration, percent, plural, score } from "~/state/format";
import { useHref, useRange, useUrl } from "~/state/url";
import css from "./compare.module.css";

/** Does a setting matter. */
export function ComparePage() {
  const url = useUrl();
  const range = useRange("24h");
  const by = url.get("by");
  const query = { by, service: url.get("service"), operation: url.get("operation") };
  const found = useAnswer<Comparison>("/comparison", query, { range, enabled: by !== "" });
  const attributes = useAttributes();
  return (
    <Page title="Compare" about="Latency, errors, cost and quality by the value of an attribute">
      <Filters names={["by", "service", "operation"]}>
        <TextFilter name="by" label="Attribute" placeholder="chunk_size" suggestions={attributes} wide />
        <TextFilter name="service" label="Service" suggestions={useServices()} />
        <TextFilter name="operation" label="Operation" suggestions={useOperations()} />
      </Filters>
      {by === "" ? (
        <Choose attributes={attributes} />
      ) : (
        <Answer of={found}>{(comparison) => <Loaded comparison={comparison} />}</Answer>
      )}
    </Page>
  );
}

function Choose({ attributes }: { attributes: string[] }) {
  const url = useUrl();
  return (
    <div className="card">
      <Empty title="Which attribute?">
        <p>A setting, a version, a model: whatever spans or logs carry. For instance</p>
        <p className={`line ${css.choose}`}>
          {likely(attributes).map((name) => (
            <Link key={name} className="chip" data-tone="accent" to={url.with({ by: name })}>
              {name}
            </Link>
          ))}
        </p>
      </Empty>
    </div>
  );
}

const TELLING = ["service.version", "gen_ai.request.model", "gen_ai.response.model", "model", "chunk_size"];
const NO_SETTING = /(^|[._])(ids?|port|count|tokens|turns|length|score|messages|\w+_ms)$/;
const SHOWN = 20;

/** Which attributes may be settings: those that often are, then others that are neither ids nor measures. */
function likely(attributes: string[]): string[] {
  const [first, others] = [TELLING.filter((name) => attributes.includes(name)), new Set(attributes)];
  const settings = [...others].filter((name) => !TELLING.includes(name) && !NO_SETTING.test(name));
  return [...first, ...settings].slice(0, SHOWN);
}

interface Measure {
  name: string;
  of: (group: ValueGroup) => Estimate | null;
  format: (value: number) => string;
  /** Less is better, or more. */
  better: "less" | "more";
}

function measuresOf(groups: ValueGroup[]): Measure[] {
  const scores = [...new Set(groups.flatMap((group) => Object.keys(group.scores)))];
  const all: Measure[] = [
    { name: "p50", of: (group) => group.p50_ms, format: duration, better: "less" },
    { name: "p95", of: (group) => group.p95_ms, format: duration, better: "less" },
    { name: "Errors", of: (group) => group.error_rate, format: percent, better: "less" },
    { name: "Cost a request", of: (group) => group.cost_usd, format: dollars, better: "less" },
    ...scores.map(
      (name): Measure => ({ name, of: (group) => group.scores[name] ?? null, format: score, better: "more" }),
    ),
  ];
  return all.filter((measure) => groups.some((group) => measure.of(group)));
}

function Loaded({ comparison }: { comparison: Comparison }) {
  const { groups, attribute } = comparison;
  const href = useHref();
  const measures = measuresOf(groups);
  if (!groups.length) {
    return (
      <>
        <VerdictLine>{comparison.verdict}</VerdictLine>
        <div className="card">
          <Empty title={`No request in this time has ${attribute}`}>
            Take a longer time or another attribute.
          </Empty>
        </div>
      </>
    );
  }
  return (
    <>
      <VerdictLine>{comparison.verdict}</VerdictLine>
      <section className="card">
        <div className="card-head">
          <h2>
            By <code>{attribute}</code>
          </h2>
          <span className="soft">lines are 95 % confidence intervals</span>
        </div>
        <div className="scroll-x">
          <table className={`table ${css.table}`}>
            <thead>
              <tr>
                <th scope="col">{attribute}</th>
                <th scope="col" className="num">
                  Requests
                </th>
                {measures.map((measure) => (
                  <th key={measure.name} scope="col">
                    {measure.name}
                  </th>
                ))}
                <th scope="col">Slowest</th>
              </tr>
            </thead>
            <tbody>
              {groups.map((group) => (
                <tr key={group.value}>
                  <th scope="row" className={css.value}>
                    <Link to={href("/search", { where: `${attribute}=${group.value}` })}>{group.value}</Link>
                  </th>
                  <td className="num">{count(group.requests)}</td>
                  {measures.map((measure) => (
                    <td key={measure.name}>
                      <Interval estimate={measure.of(group)} measure={measure} groups={groups} />
                    </td>
                  ))}
                  <td>{group.trace_id && <Link to={href(`/trace/${group.trace_id}`)}>trace</Link>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
      <Left comparison={comparison} />
    </>
  );
}

/** What was not compared. */
function Left({ comparison }: { comparison: Comparison }) {
  const { operation, elsewhere, without, others, truncated } = comparison;
  const told = [
    elsewhere > 0 && `${plural(elsewhere, "request")} of other operations, see Operation`,
    without > 0 && `${plural(without, "request")} without it`,
    others > 0 && `${plural(others, "value")} with fewer requests`,
    truncated && "only the newest requests are counted",
  ].filter((one) => one !== false);
  return (
    <p className="soft" data-testid="left-out">
      {operation && (
        <>
          Compared: {operation}
          {comparison.service && ` of ${comparison.service}`}.{" "}
        </>
      )}
      {told.length > 0 && `Not compared: ${told.join("; ")}.`}
    </p>
  );
}

interface IntervalProps {
  estimate: Estimate | null;
  measure: Measure;
  groups: ValueGroup[];
}

/** A figure over its confidence interval, on the scale of all values. */
function Interval({ estimate, measure, groups }: IntervalProps) {
  if (!estimate) {
    return <span className="soft">–</span>;
  }
  const all = groups.flatMap((group) => {
    const one = measure.of(group);
    return one ? [one.low ?? one.value, one.high ?? one.value, one.value] : [];
  });
  const low = measure.better === "more" ? Math.min(...all) : Math.min(0, ...all);
  const size = Math.max(...all) - low || 1;
  const at = (value: number) => `${((value - low) / size) * 100}%`;
  const from = estimate.low ?? estimate.value;
  const to = estimate.high ?? estimate.value;
  const told =
    estimate.low === null || estimate.high === null
      ? "too few to say how sure"
      : `95 %: ${measure.format(estimate.low)} to ${measure.format(estimate.high)}`;
  return (
    <span className={css.interval} title={`${told}, of ${count(estimate.count)}`}>
      <b>{measure.format(estimate.value)}</b>
      <span className={css.scale} aria-hidden="true">
        <i style={{ left: at(from), width: `calc(${at(to)} - ${at(from)})` }} />
        <u style={{ left: at(estimate.value) }} />
      </span>
      <span className="sr-only">{told}</span>
    </span>
  );
}
