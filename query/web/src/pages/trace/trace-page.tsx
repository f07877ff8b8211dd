import { useCallback, useDeferredValue, useEffect, useMemo, useRef } from "react";
import { useParams } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Explanation, TraceAnswer } from "~/api/types";
import { Answer, Skeleton, SkeletonRows } from "~/parts/states";
import { useTitle } from "~/parts/title";
import { useNarrow } from "~/parts/use-narrow";
import { useUrl } from "~/state/url";
import { buildModel, type Extent, type LogsShown } from "~/timeline/model";
import { Timeline, type TimelineState } from "~/timeline/timeline";
import { Detail, Side } from "./detail";
import { ExplanationPanel, Verdict } from "./explanation";
import { TraceHead } from "./head";
import css from "./trace.module.css";

const MANY_LOGS = 300;

/** One request: what happened, why, and everything that was stored of it. */
export function TracePage() {
  const { traceId = "" } = useParams();
  const found = useAnswer<TraceAnswer>(`/traces/${encodeURIComponent(traceId)}`, {}, { still: true });
  useTitle(found.data ? `${found.data.root_name ?? "Trace"} ${traceId.slice(0, 8)}` : "Trace");
  const current = found.isPlaceholderData ? { ...found, data: undefined } : found;
  return (
    <Answer of={current} loading={<Loading />} refused="Not a trace id">
      {(trace) => <Loaded key={trace.trace_id} trace={trace} />}
    </Answer>
  );
}

function Loading() {
  return (
    <div className={css.page}>
      <div className={css.head}>
        <Skeleton height={22} width={320} />
        <Skeleton height={16} width={520} />
      </div>
      <SkeletonRows rows={12} />
    </div>
  );
}

function Loaded({ trace }: { trace: TraceAnswer }) {
  const model = useMemo(() => buildModel(trace), [trace]);
  const explained = useAnswer<Explanation>(`/traces/${trace.trace_id}/explanation`, {}, { still: true });
  const [state, change] = useTimelineState(trace);
  const shown = useDeferredValue(state);
  const show = useCallback((key: string) => change({ selected: key }), [change]);
  const close = useCallback(() => change({ selected: null }), [change]);
  useEscape(close);
  const narrow = useNarrow(860);
  const why = useWhy(explained.data, narrow);
  const { data: explanation } = explained;
  const compared = explanation?.spans.find((span) => span.span_id === state.selected) ?? null;
  const toggleWhy = () => {
    if (state.selected && !narrow) {
      close();
    }
    why.set(state.selected && !narrow ? true : !why.open);
  };
  const panel = explanation && why.open && (
    <ExplanationPanel explanation={explanation} model={model} onShow={show} />
  );
  return (
    <div className={css.page}>
      <TraceHead trace={trace} />
      <Verdict of={explained} open={why.open && (narrow || !state.selected)} onToggle={toggleWhy} />
      {narrow && panel}
      <div className={css.split}>
        <section className={css.timeline} aria-label="Time line">
          <Timeline model={model} state={{ ...shown, query: state.query }} onChange={change} />
        </section>
        {state.selected && (
          <Detail
            key={state.selected}
            model={model}
            selected={state.selected}
            compared={compared}
            onShow={show}
            onClose={close}
          />
        )}
        {!state.selected && !narrow && panel && (
          <Side label="Why" onClose={() => why.set(false)}>
            {panel}
          </Side>
        )}
      </div>
    </div>
  );
}

/** Whether the findings are shown: at first where something went wrong and there is room. */
function useWhy(explanation: Explanation | undefined, narrow: boolean) {
  const url = useUrl();
  const chosen = url.get("why");
  const wrong = explanation?.outcome === "failed" || explanation?.outcome === "slow";
  return {
    open: chosen ? chosen === "yes" : wrong && !narrow,
    set: (open: boolean) => url.set({ why: open ? "yes" : "no" }, true),
  };
}

/** What is chosen of the time line, kept in the address. */
function useTimelineState(trace: TraceAnswer): [TimelineState, (change: Partial<TimelineState>) => void] {
  const url = useUrl();
  const fallback: LogsShown = trace.logs.length > MANY_LOGS ? "warnings" : "all";
  const [span, log, logs, path, find, from, to] = [
    url.get("span"),
    url.get("log"),
    url.get("logs"),
    url.get("path"),
    url.get("find"),
    url.get("from"),
    url.get("to"),
  ];
  const state = useMemo<TimelineState>(
    () => ({
      selected: span || (log && (log.startsWith("event-") ? log : `log-${log}`)) || null,
      logs: logs === "all" || logs === "warnings" || logs === "none" ? logs : fallback,
      criticalOnly: path === "critical",
      query: find,
      view: viewOf(from, to),
    }),
    [span, log, logs, path, find, from, to, fallback],
  );
  const set = useRef(url.set);
  set.current = url.set;
  const change = useCallback(
    (wanted: Partial<TimelineState>) => set.current(asParams(wanted, fallback), true),
    [fallback],
  );
  return [state, change];
}

function viewOf(from: string, to: string): Extent | null {
  const view = { from: Number(from), to: Number(to) };
  return from && to && view.from < view.to ? view : null;
}

function asParams(change: Partial<TimelineState>, fallback: LogsShown): Record<string, string | null> {
  const params: Record<string, string | null> = {};
  if (change.selected !== undefined) {
    const mark = change.selected && /^(log|event)-/.test(change.selected);
    params.span = mark ? null : change.selected;
    params.log = mark ? (change.selected ?? "").replace(/^log-/, "") : null;
  }
  if (change.logs) {
    params.logs = change.logs === fallback ? null : change.logs;
  }
  if (change.criticalOnly !== undefined) {
    params.path = change.criticalOnly ? "critical" : null;
  }
  if (change.query !== undefined) {
    params.find = change.query || null;
  }
  if (change.view !== undefined) {
    params.from = change.view ? change.view.from.toFixed(3) : null;
    params.to = change.view ? change.view.to.toFixed(3) : null;
  }
  return params;
}

function useEscape(close: () => void) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (
        event.key === "Escape" &&
        !event.defaultPrevented &&
        !target?.closest("input, [role=dialog], [role=menu]")
      ) {
        close();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [close]);
}
