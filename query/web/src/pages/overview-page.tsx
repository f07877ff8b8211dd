import { Bug, Clock, History, ScrollText, Search, X, ZoomIn } from "lucide-react";
import { useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Group, Health, Overview } from "~/api/types";
import { LAYERS, useServices } from "~/parts/catalogue";
import { Chart, type Series, type Stretch } from "~/parts/chart";
import { ChoiceFilter, Filters, TextFilter } from "~/parts/filters";
import { STATES } from "~/parts/health-state";
import { Page } from "~/parts/page";
import { Answer, Empty, Skeleton } from "~/parts/states";
import { compact, count, dollars, dollarsTick, duration, durationTick, percent, score } from "~/state/format";
import { describe } from "~/state/time";
import { hrefNow, useHref, useRange, useUrl } from "~/state/url";
import css from "./overview.module.css";

/** How it is going. */
export function OverviewPage() {
  const url = useUrl();
  const range = useRange("1h");
  const query = { service: url.get("service"), layer: url.get("layer") };
  const found = useAnswer<Overview>("/overview", query, { range });
  return (
    <Page title="Overview" about={describe(range, new Date())}>
      <HealthBanner />
      <OverviewFilters />
      <Answer of={found} loading={<Loading />}>
        {(overview) => <Loaded overview={overview} />}
      </Answer>
    </Page>
  );
}

function OverviewFilters() {
  const services = useServices();
  return (
    <Filters names={["service", "layer"]}>
      <TextFilter name="service" label="Service" suggestions={services} />
      <ChoiceFilter
        name="layer"
        label="Layer"
        choices={[["", "any"], ...LAYERS.map((one) => [one, one] as const)]}
      />
    </Filters>
  );
}

function HealthBanner() {
  const href = useHref();
  const { data, isPending } = useAnswer<Health>("/health");
  if (!data) {
    return isPending ? <HealthPlace /> : null;
  }
  const { icon: Icon, tone } = STATES[data.state];
  return (
    <Link to={href("/health")} className={css.banner} data-tone={tone} data-testid="health-banner">
      <Icon size={17} aria-hidden="true" className={tone} />
      <span>{data.verdict}</span>
    </Link>
  );
}

/** Keeps the banner's place, so that nothing moves under the pointer when its answer comes. */
function HealthPlace() {
  return (
    <div className={css.banner}>
      <Skeleton />
    </div>
  );
}

function Loading() {
  return (
    <>
      <div className={css.figures}>
        {Array.from({ length: 6 }, (_, index) => (
          <div key={index} className="card">
            <Skeleton height={68} />
          </div>
        ))}
      </div>
      <div className={css.charts}>
        {Array.from({ length: 4 }, (_, index) => (
          <div key={index} className="card">
            <Skeleton height={196} />
          </div>
        ))}
      </div>
    </>
  );
}

function Loaded({ overview }: { overview: Overview }) {
  const [stretch, setStretch] = useState<Stretch | null>(null);
  return (
    <>
      <Figures overview={overview} />
      {stretch && <Choice stretch={stretch} overview={overview} onClose={() => setStretch(null)} />}
      {overview.requests === 0 ? (
        <div className="card">
          <Empty title="No requests in this time">Take a longer time, or send some.</Empty>
        </div>
      ) : (
        <Charts overview={overview} onStretch={setStretch} />
      )}
      <div className={css.tables}>
        <Groups title="Services" name="service" groups={overview.services} word="requests" />
        <Groups title="Layers" name="layer" groups={overview.layers} word="operations" />
      </div>
    </>
  );
}

function Figures({ overview }: { overview: Overview }) {
  const minutes = (Date.parse(overview.period.until) - Date.parse(overview.period.since)) / 60_000;
  return (
    <dl className={css.figures}>
      <Figure label="Requests" note={`${compact(overview.requests / Math.max(minutes, 1 / 60))} a minute`}>
        {count(overview.requests)}
      </Figure>
      <Figure label="Errors" note={`${count(overview.errors)} failed`} bad={overview.error_rate > 0.05}>
        {percent(overview.error_rate)}
      </Figure>
      <Figure label="p50">{duration(overview.p50_ms)}</Figure>
      <Figure label="p95">{duration(overview.p95_ms)}</Figure>
      <Figure label="p99">{duration(overview.p99_ms)}</Figure>
      <Figure
        label="Cost"
        note={overview.requests ? `${dollars(overview.cost_usd / overview.requests)} a request` : undefined}
      >
        {dollars(overview.cost_usd)}
      </Figure>
    </dl>
  );
}

interface FigureProps {
  label: string;
  note?: string | undefined;
  bad?: boolean;
  children: React.ReactNode;
}

function Figure({ label, note, bad, children }: FigureProps) {
  return (
    <div className={`card ${css.figure}`}>
      <dt>{label}</dt>
      <dd className={bad ? "bad" : undefined}>{children}</dd>
      {note && <dd className={css.note}>{note}</dd>}
    </div>
  );
}

/** What to do with a stretch of time that was chosen in a chart. */
function Choice({
  stretch,
  overview,
  onClose,
}: {
  stretch: Stretch;
  overview: Overview;
  onClose: () => void;
}) {
  const href = useHref();
  const url = useUrl();
  const range = { since: stretch.since.toISOString(), until: stretch.until.toISOString() };
  const kept = { ...range, service: url.get("service"), layer: url.get("layer") };
  const inside = overview.points.filter((point) => {
    const time = Date.parse(point.time);
    return time >= stretch.since.getTime() && time < stretch.until.getTime();
  });
  const sum = (of: (point: (typeof inside)[number]) => number) =>
    inside.reduce((all, point) => all + of(point), 0);
  return (
    <section className={`card ${css.choice}`} aria-label="Chosen time" data-testid="chosen-time">
      <p>
        <b>{describe(range, new Date())}</b>{" "}
        <span className="soft">
          {count(sum((point) => point.requests))} requests, {count(sum((point) => point.errors))} failed
        </span>
      </p>
      <div className="line">
        <Link className="button" data-small data-primary to={href("/search", kept)}>
          <Search size={13} aria-hidden="true" /> Traces
        </Link>
        <Link className="button" data-small to={href("/search", { ...kept, status: "error" })}>
          <Bug size={13} aria-hidden="true" /> Failed
        </Link>
        <Link className="button" data-small to={href("/search", { ...kept, order: "slowest" })}>
          <Clock size={13} aria-hidden="true" /> Slowest
        </Link>
        <Link className="button" data-small to={href("/logs", { ...range, service: url.get("service") })}>
          <ScrollText size={13} aria-hidden="true" /> Logs
        </Link>
        <Link className="button" data-small to={href("/changes", { ...range, at: range.since })}>
          <History size={13} aria-hidden="true" /> What changed
        </Link>
        <button
          type="button"
          className="button"
          data-small
          onClick={() => {
            url.set(range);
            onClose();
          }}
        >
          <ZoomIn size={13} aria-hidden="true" /> Zoom
        </button>
        <button
          type="button"
          className="button"
          data-small
          data-icon
          data-plain
          aria-label="Close"
          onClick={onClose}
        >
          <X size={14} aria-hidden="true" />
        </button>
      </div>
    </section>
  );
}

function Charts({
  overview,
  onStretch,
}: {
  overview: Overview;
  onStretch: (stretch: Stretch | null) => void;
}) {
  const navigate = useNavigate();
  const url = useUrl();
  const { points, step_seconds: step } = overview;
  const times = useMemo(() => points.map((point) => point.time), [points]);
  const series = useMemo(() => seriesOf(overview), [overview]);
  const pick = (more: Record<string, string>) => (stretch: Stretch) => {
    if (stretch.dragged) {
      onStretch(stretch);
      return;
    }
    const range = { since: stretch.since.toISOString(), until: stretch.until.toISOString() };
    navigate(hrefNow("/search", { ...range, service: url.get("service"), layer: url.get("layer"), ...more }));
  };
  const shared = { times, stepSeconds: step, period: overview.period };
  return (
    <div className={css.charts}>
      <div className="card">
        <Chart
          {...shared}
          title="Requests"
          summary={`${overview.requests} requests, ${overview.errors} failed`}
          series={series.requests}
          format={compact}
          max={4}
          onPick={pick({})}
        />
      </div>
      <div className="card">
        <Chart
          {...shared}
          title="Latency"
          summary={`p50 ${duration(overview.p50_ms)}, p95 ${duration(overview.p95_ms)}, p99 ${duration(overview.p99_ms)}`}
          series={series.latency}
          format={duration}
          tick={durationTick}
          onPick={pick({ order: "slowest" })}
        />
      </div>
      <div className="card">
        <Chart
          {...shared}
          title="Error rate"
          summary={percent(overview.error_rate)}
          series={series.rate}
          format={percent}
          max={0.1}
          onPick={pick({ status: "error" })}
        />
      </div>
      <div className="card">
        <Chart
          {...shared}
          title="Cost"
          summary={dollars(overview.cost_usd)}
          series={series.cost}
          format={dollars}
          tick={dollarsTick}
          onPick={pick({})}
        />
      </div>
      {series.scores.length > 0 && (
        <div className={`card ${css.whole}`}>
          <Chart
            {...shared}
            title="Quality"
            summary={series.scores.map((one) => one.label).join(", ")}
            series={series.scores}
            format={score}
            min={lowest(series.scores)}
            max={1}
            onPick={pick({})}
          />
        </div>
      )}
    </div>
  );
}

/** Where the scale of scores begins: a little below the least of them. */
function lowest(scores: readonly Series[]): number {
  const all = scores.flatMap((one) => one.values.filter((value) => value !== null));
  return Math.max(0, Math.floor((Math.min(...all) - 0.05) * 10) / 10);
}

function seriesOf({ points, scores }: Overview) {
  const metrics = [...new Set(scores.map((one) => one.metric))];
  const means = new Map(scores.map((one) => [`${one.metric} ${Date.parse(one.time)}`, one.mean]));
  return {
    requests: [
      {
        label: "requests",
        color: "var(--hue-0)",
        kind: "bars",
        values: points.map((point) => point.requests),
      },
      {
        label: "failed",
        color: "var(--bad-fill)",
        kind: "bars",
        values: points.map((point) => point.errors),
      },
    ] satisfies Series[],
    latency: [
      { label: "p50", color: "var(--hue-1)", kind: "line", values: points.map((point) => point.p50_ms) },
      { label: "p95", color: "var(--hue-2)", kind: "line", values: points.map((point) => point.p95_ms) },
      { label: "p99", color: "var(--hue-7)", kind: "line", values: points.map((point) => point.p99_ms) },
    ] satisfies Series[],
    rate: [
      {
        label: "failed",
        color: "var(--bad-fill)",
        kind: "bars",
        values: points.map((point) => (point.requests ? point.errors / point.requests : null)),
      },
    ] satisfies Series[],
    cost: [
      {
        label: "US dollars",
        color: "var(--hue-4)",
        kind: "bars",
        values: points.map((point) => point.cost_usd),
      },
    ] satisfies Series[],
    scores: metrics.map((metric, index) => ({
      label: metric,
      color: `var(--hue-${index % 10})`,
      kind: "line" as const,
      values: points.map((point) => means.get(`${metric} ${Date.parse(point.time)}`) ?? null),
    })),
  };
}

interface GroupsProps {
  title: string;
  name: "service" | "layer";
  groups: Group[];
  word: string;
}

function Groups({ title, name, groups, word }: GroupsProps) {
  const url = useUrl();
  const href = useHref();
  if (!groups.length) {
    return null;
  }
  return (
    <section className="card">
      <div className="card-head">
        <h2>{title}</h2>
      </div>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{name === "service" ? "Service" : "Layer"}</th>
              <th scope="col" className="num">
                {word === "requests" ? "Requests" : "Operations"}
              </th>
              <th scope="col" className="num">
                Errors
              </th>
              <th scope="col" className="num">
                p50
              </th>
              <th scope="col" className="num">
                p95
              </th>
              <th scope="col" className="num">
                p99
              </th>
              <th scope="col" className="num">
                Cost
              </th>
            </tr>
          </thead>
          <tbody>
            {groups.map((group) => (
              <tr key={group.name}>
                <th scope="row">
                  <Link to={url.with({ [name]: group.name })} title={`Only ${group.name}`}>
                    {group.name}
                  </Link>
                </th>
                <td className="num">
                  <Link to={href("/search", { [name]: group.name })}>{count(group.requests)}</Link>
                </td>
                <td className="num">
                  {group.errors ? (
                    <Link to={href("/search", { [name]: group.name, status: "error" })} className="bad">
                      {percent(group.error_rate)}
                    </Link>
                  ) : (
                    <span className="soft">0 %</span>
                  )}
                </td>
                <td className="num">{duration(group.p50_ms)}</td>
                <td className="num">{duration(group.p95_ms)}</td>
                <td className="num">{duration(group.p99_ms)}</td>
                <td className="num">
                  {group.cost_usd ? dollars(group.cost_usd) : <span className="soft">–</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
