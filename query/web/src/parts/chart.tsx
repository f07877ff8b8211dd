import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { isDark, onTheme } from "~/state/theme";
import { resolved } from "~/timeline/colors";
import { useWidth } from "~/timeline/use-width";
import css from "./chart.module.css";

export interface Series {
  label: string;
  /** A token: `var(--bad-fill)`. */
  color: string;
  values: readonly (number | null)[];
  kind: "line" | "bars";
}

export interface Stretch {
  since: Date;
  until: Date;
  /** Chosen by dragging, not by a click on one step. */
  dragged: boolean;
}

interface Props {
  title: string;
  /** What stands out, for who cannot see it. */
  summary: string;
  times: readonly string[];
  stepSeconds: number;
  series: readonly Series[];
  format: (value: number) => string;
  /** How the axis says a figure, if not as `format`. */
  tick?: (value: number) => string;
  /** What is asked for: the axis spans it, also where nothing was. */
  period: { since: string; until: string };
  height?: number;
  /** The least height of the scale. */
  max?: number;
  min?: number;
  markers?: readonly { time: string; label: string }[];
  onPick?: (stretch: Stretch) => void;
}

const SYNC = "ganglion";

/** Figures over time: a click takes one step, dragging a stretch of time. */
export function Chart(props: Props) {
  const { title, summary, times, stepSeconds, series, format, tick = format, height = 150, onPick } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const width = useWidth(box);
  const dark = useSyncExternalStore(onTheme, isDark);
  const [at, setAt] = useState<number | null>(null);
  const seconds = useMemo(() => times.map((time) => Date.parse(time) / 1000), [times]);
  const pick = useRef(onPick);
  pick.current = onPick;
  const { max, min, markers } = props;
  const span = useRef<[number, number]>([0, 1]);
  span.current = spanOf(props.period, seconds, stepSeconds);
  const drawn = JSON.stringify([series.map((one) => [one.label, one.color, one.kind]), max, min, markers]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: figures are set below, colours and shapes by `drawn`
  useEffect(() => {
    const element = box.current;
    if (!element || !width) {
      return;
    }
    const made = new uPlot(
      options({ element, width, height, series, tick, stepSeconds, span, max, min, markers, setAt, pick }),
      data(seconds, series),
      element,
    );
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [drawn, dark, width > 0, height, stepSeconds, tick]);
  useEffect(() => {
    plot.current?.setData(data(seconds, series));
  }, [seconds, series]);
  useEffect(() => {
    if (width) {
      plot.current?.setSize({ width, height });
    }
  }, [width, height]);

  const take = (index: number) => {
    const start = seconds[index];
    if (start !== undefined) {
      onPick?.({
        since: new Date(start * 1000),
        until: new Date((start + stepSeconds) * 1000),
        dragged: false,
      });
    }
  };
  const move = (change: number) => {
    const next = Math.max(0, Math.min(seconds.length - 1, (at ?? seconds.length) + change));
    const left = plot.current?.valToPos(seconds[next] ?? 0, "x");
    plot.current?.setCursor({ left: (left ?? 0) + 1, top: 10 });
    setAt(next);
  };
  return (
    <figure className={css.chart}>
      <figcaption className={css.caption}>
        <h2>{title}</h2>
        <Legend series={series} at={at} format={format} time={at === null ? null : (times[at] ?? null)} />
      </figcaption>
      <div
        ref={box}
        className={css.plot}
        role="img"
        aria-label={`${title}. ${summary}`}
        tabIndex={onPick ? 0 : undefined}
        style={{ height }}
        data-testid="chart"
        onKeyDown={(event) => {
          if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
            event.preventDefault();
            move(event.key === "ArrowLeft" ? -1 : 1);
          } else if (event.key === "Enter" && at !== null) {
            take(at);
          }
        }}
      />
    </figure>
  );
}

interface LegendProps {
  series: readonly Series[];
  at: number | null;
  time: string | null;
  format: (value: number) => string;
}

function Legend({ series, at, time, format }: LegendProps) {
  return (
    <div className={css.legend}>
      {series.map((one) => {
        const value = at === null ? null : one.values[at];
        return (
          <span key={one.label}>
            <i style={{ background: one.color }} data-kind={one.kind} />
            {one.label}
            {at !== null && <b>{value === null || value === undefined ? "–" : format(value)}</b>}
          </span>
        );
      })}
      {time && <time dateTime={time}>{stamp(Date.parse(time))}</time>}
    </div>
  );
}

function stamp(time: number): string {
  return new Date(time).toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
}

/** From the begin of the period to its end, and as far as the steps reach that it cuts. */
function spanOf(period: Props["period"], seconds: number[], stepSeconds: number): [number, number] {
  const [since, until] = [Date.parse(period.since) / 1000, Date.parse(period.until) / 1000];
  const [first = since, last = until - stepSeconds] = [seconds[0], seconds.at(-1)];
  return [Math.min(since, first), Math.max(until, last + stepSeconds)];
}

function data(seconds: number[], series: readonly Series[]): uPlot.AlignedData {
  return [seconds, ...series.map((one) => [...one.values])] as uPlot.AlignedData;
}

interface Making {
  element: HTMLElement;
  width: number;
  height: number;
  series: readonly Series[];
  tick: (value: number) => string;
  stepSeconds: number;
  span: { current: [number, number] };
  max: number | undefined;
  min: number | undefined;
  markers: Props["markers"];
  setAt: (at: number | null) => void;
  pick: { current: Props["onPick"] };
}

function options(make: Making): uPlot.Options {
  const { element, width, height, series, tick, stepSeconds, span } = make;
  const color = (token: string) => resolved(element, token);
  const font = `11.5px ${getComputedStyle(element).fontFamily}`;
  const axis = {
    stroke: color("var(--soft)"),
    grid: { stroke: color("var(--line)"), width: 1 },
    ticks: { show: false },
    font,
  };
  const bars = uPlot.paths.bars?.({ size: [0.78, 26], align: 1 });
  const line = uPlot.paths.linear?.();
  return {
    width,
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC },
      y: false,
      points: { show: series.some((one) => one.kind === "line"), size: 6 },
      drag: { x: Boolean(make.pick.current), y: false, setScale: false },
    },
    scales: {
      x: { time: true, range: () => span.current },
      y: { range: (_, low, high) => scaleOf(low, high, make) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        space: 68,
        values: (_, ticks, __, ___, step) => ticks.map((one) => timeOf(one, step)),
      },
      { ...axis, size: 58, space: 26, values: (_, ticks) => ticks.map(tick) },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        stroke: color(one.color),
        width: one.kind === "line" ? 1.75 : 0,
        ...(one.kind === "bars" && { fill: color(one.color) }),
        paths: (one.kind === "bars" ? bars : line) ?? null,
        points: { show: one.kind === "line" && one.values.filter((value) => value !== null).length < 3 },
        spanGaps: one.kind === "line",
      })),
    ] as uPlot.Series[],
    hooks: {
      setCursor: [(plot) => make.setAt(stepAt(plot, plot.cursor.left ?? -1))],
      setSelect: [(plot) => dragged(plot, make)],
      ready: [(plot) => clicked(plot, make, stepSeconds)],
      draw: [(plot) => mark(plot, make, color)],
    },
  };
}

function scaleOf(low: number | null, high: number | null, { max, min }: Making): [number, number] {
  const top = Math.max(high ?? 0, max ?? 0);
  const bottom = min === undefined ? 0 : Math.min(min, low ?? min);
  return [bottom, top > bottom ? top + (top - bottom) * 0.06 : bottom + 1];
}

function timeOf(tick: number, step: number): string {
  const moment = new Date(tick * 1000);
  if (step >= 86_400 || (moment.getHours() === 0 && moment.getMinutes() === 0)) {
    return moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  }
  return moment.toTimeString().slice(0, step < 60 ? 8 : 5);
}

const LEAST_PIXELS = 6;

/** The step that a place in the chart lies in: the last that begins before it. */
function stepAt(plot: uPlot, left: number): number | null {
  const times = plot.data[0];
  if (left < 0 || !times.length) {
    return null;
  }
  const closest = plot.posToIdx(left);
  const begins = times[closest] ?? 0;
  return begins > plot.posToVal(left, "x") ? Math.max(0, closest - 1) : closest;
}

function dragged(plot: uPlot, { pick, stepSeconds }: Making) {
  const { left, width } = plot.select;
  if (width < LEAST_PIXELS) {
    return;
  }
  const times = plot.data[0];
  const first = times[stepAt(plot, left) ?? 0] ?? 0;
  const last = times[stepAt(plot, left + width) ?? 0] ?? first;
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  pick.current?.({
    since: new Date(first * 1000),
    until: new Date((last + stepSeconds) * 1000),
    dragged: true,
  });
}

function clicked(plot: uPlot, { pick }: Making, stepSeconds: number) {
  let from = 0;
  plot.over.addEventListener("mousedown", (event) => {
    from = event.clientX;
  });
  plot.over.addEventListener("click", (event) => {
    const index = stepAt(plot, plot.cursor.left ?? -1);
    const start = index === null ? undefined : plot.data[0][index];
    if (start !== undefined && Math.abs(event.clientX - from) < LEAST_PIXELS) {
      pick.current?.({
        since: new Date(start * 1000),
        until: new Date((start + stepSeconds) * 1000),
        dragged: false,
      });
    }
  });
}

function mark(plot: uPlot, { markers }: Making, color: (token: string) => string) {
  for (const one of markers ?? []) {
    const x = plot.valToPos(Date.parse(one.time) / 1000, "x", true);
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = color("var(--bad-fill)");
    ctx.fillStyle = color("var(--bad)");
    ctx.setLineDash([4, 4]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.textAlign = x > bbox.left + bbox.width * 0.7 ? "right" : "left";
    ctx.fillText(
      one.label,
      x + (ctx.textAlign === "left" ? 5 : -5) * devicePixelRatio,
      bbox.top + 10 * devicePixelRatio,
    );
    ctx.restore();
  }
}
