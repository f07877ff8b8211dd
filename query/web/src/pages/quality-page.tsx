import { TrendingDown } from "lucide-react";
import { useMemo } from "react";
import { Link, useNavigate } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Quality, ScoreTrend, WorstAnswer } from "~/api/types";
import { useServices } from "~/parts/catalogue";
import { Chart } from "~/parts/chart";
import { Filters, TextFilter } from "~/parts/filters";
import { Page, VerdictLine } from "~/parts/page";
import { Answer, Empty } from "~/parts/states";
import { count, moment, score, shortId } from "~/state/format";
import { hrefNow, useHref, useRange, useUrl } from "~/state/url";
import css from "./quality.module.css";

/** When did quality drop. */
export function QualityPage() {
  const url = useUrl();
  const found = useAnswer<Quality>("/quality", { service: url.get("service") }, { range: useRange("7d") });
  return (
    <Page title="Quality" about="RAGAS scores over time, and when they fell">
      <Filters names={["service"]}>
        <TextFilter name="service" label="Service" suggestions={useServices()} />
      </Filters>
      <Answer of={found}>{(quality) => <Loaded quality={quality} />}</Answer>
    </Page>
  );
}

function Loaded({ quality }: { quality: Quality }) {
  const dropped = quality.trends.some((trend) => trend.drop);
  if (!quality.trends.length) {
    return (
      <div className="card">
        <Empty title="No scores in this time">Scores are logged by evaluation; see docs/rag.md.</Empty>
      </div>
    );
  }
  return (
    <>
      <VerdictLine tone={dropped ? "bad" : "good"}>{quality.verdict}</VerdictLine>
      <div className={css.trends}>
        {quality.trends.map((trend, index) => (
          <Trend key={trend.metric} trend={trend} quality={quality} hue={`var(--hue-${index % 10})`} />
        ))}
      </div>
      {quality.worst.length > 0 && <Worst answers={quality.worst} />}
    </>
  );
}

function Trend({ trend, quality, hue }: { trend: ScoreTrend; quality: Quality; hue: string }) {
  const href = useHref();
  const navigate = useNavigate();
  const points = useMemo(
    () => quality.points.filter((point) => point.metric === trend.metric),
    [quality.points, trend.metric],
  );
  const times = useMemo(() => points.map((point) => point.time), [points]);
  const series = useMemo(
    () => [{ label: "mean", color: hue, kind: "line" as const, values: points.map((point) => point.mean) }],
    [points, hue],
  );
  const { drop } = trend;
  return (
    <section className="card" data-testid="score-trend">
      <Chart
        title={trend.metric}
        summary={`mean ${score(trend.mean)} of ${trend.count}${drop ? `, fell at ${moment(drop.at)}` : ""}`}
        times={times}
        period={quality.period}
        stepSeconds={quality.step_seconds}
        series={series}
        format={score}
        min={Math.max(0, Math.min(...points.map((point) => point.mean)) - 0.05)}
        max={1}
        markers={drop ? [{ time: drop.at, label: "fell" }] : []}
        onPick={(stretch) =>
          navigate(
            hrefNow("/search", { since: stretch.since.toISOString(), until: stretch.until.toISOString() }),
          )
        }
      />
      <p className={css.about}>
        <span className="soft">
          mean <b>{score(trend.mean)}</b> of {count(trend.count)} answers
        </span>
        {drop && (
          <span className={css.drop}>
            <TrendingDown size={15} className="bad" aria-hidden="true" />
            {score(drop.before)} → <b className="bad">{score(drop.after)}</b> at {moment(drop.at)}
            {drop.trace_id && <Link to={href(`/trace/${drop.trace_id}`)}>first poor answer</Link>}
            <Link to={href("/changes", { at: drop.at })}>what changed then</Link>
          </span>
        )}
      </p>
    </section>
  );
}

function Worst({ answers }: { answers: WorstAnswer[] }) {
  const href = useHref();
  return (
    <section className="card">
      <div className="card-head">
        <h2>Lowest scores</h2>
      </div>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Score</th>
              <th scope="col" className="num">
                Value
              </th>
              <th scope="col">User</th>
              <th scope="col">Trace</th>
            </tr>
          </thead>
          <tbody>
            {answers.map((answer, index) => (
              <tr key={index}>
                <td>{moment(answer.timestamp)}</td>
                <td>{answer.metric}</td>
                <td className="num bad">{score(answer.score)}</td>
                <td>{answer.user_id ?? <span className="soft">–</span>}</td>
                <td>
                  {answer.trace_id && (
                    <Link className="mono" to={href(`/trace/${answer.trace_id}`)}>
                      {shortId(answer.trace_id)}
                    </Link>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
