import { useCallback, useEffect, useMemo, useState } from "react";
import type { TraceAnswer } from "~/api/types";
import { buildModel, type Model } from "~/timeline/model";
import { Timeline, type TimelineState } from "~/timeline/timeline";
import "~/timeline/tokens.css";
import css from "./embed.module.css";
import { Facts } from "./facts";
import type { TraceTimelineProps } from "./trace-timeline";
import { useTrace } from "./use-trace";

const SCHEMES = { auto: undefined, light: "light", dark: "dark" };

/** The time line of one trace, for the page of an application. */
export function TraceTimeline(props: TraceTimelineProps) {
  const {
    traceId,
    endpoint = "/api/v1/traces",
    fetchTrace,
    colorScheme = "auto",
    height = 480,
    onSpanSelect,
  } = props;
  const { trace, waiting, error, retry } = useTrace(traceId, endpoint, fetchTrace);
  const model = useMemo(() => trace && buildModel(trace as TraceAnswer), [trace]);
  return (
    <section
      className={css.embed}
      aria-label={`Trace ${traceId}`}
      style={{ height, colorScheme: SCHEMES[colorScheme] }}
      data-ganglion
    >
      {model && <Loaded key={`${traceId} ${colorScheme}`} model={model} onSpanSelect={onSpanSelect} />}
      {!model && !error && (
        <p className={css.said} role="status">
          {waiting ? "Waiting for the trace" : "Loading the trace"}
        </p>
      )}
      {!model && error && (
        <div className={css.said} role="alert">
          <p>{error}</p>
          <button type="button" onClick={retry}>
            Try again
          </button>
        </div>
      )}
    </section>
  );
}

interface LoadedProps {
  model: Model;
  onSpanSelect: TraceTimelineProps["onSpanSelect"];
}

function Loaded({ model, onSpanSelect }: LoadedProps) {
  const [state, setState] = useState<TimelineState>({
    selected: null,
    logs: "all",
    criticalOnly: false,
    query: "",
    view: null,
  });
  const change = useCallback((part: Partial<TimelineState>) => setState((old) => ({ ...old, ...part })), []);
  const entry = state.selected ? model.byId.get(state.selected) : undefined;
  useEffect(() => onSpanSelect?.(entry?.node ?? null), [entry, onSpanSelect]);
  return (
    <>
      <div className={css.timeline}>
        <Timeline model={model} state={state} onChange={change} />
      </div>
      <Facts model={model} selected={state.selected} onClose={() => change({ selected: null })} />
    </>
  );
}
