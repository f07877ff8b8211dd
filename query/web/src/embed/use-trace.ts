import { useCallback, useEffect, useState } from "react";
import type { TraceAnswer, TraceTimelineProps } from "./trace-timeline";

const AGAIN_MS = 1000;
const PATIENCE_MS = 30_000;

interface Asked {
  trace: TraceAnswer | null;
  /** Nothing of it is stored yet. */
  waiting: boolean;
  error: string | null;
}

const NOTHING: Asked = { trace: null, waiting: false, error: null };

/** Ask for a trace; one that is not stored yet is asked for again, for half a minute. */
export function useTrace(traceId: string, endpoint: string, fetchTrace: TraceTimelineProps["fetchTrace"]) {
  const [asked, setAsked] = useState<Asked>(NOTHING);
  const [tries, setTries] = useState(0);
  const retry = useCallback(() => setTries((old) => old + 1), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another try asks anew
  useEffect(() => {
    const stop = new AbortController();
    setAsked(NOTHING);
    const get = fetchTrace ?? ((id, signal) => fetched(endpoint, id, signal));
    void ask(traceId, get, setAsked, stop.signal);
    return () => stop.abort();
  }, [traceId, endpoint, fetchTrace, tries]);
  return { ...asked, retry };
}

async function ask(
  traceId: string,
  get: NonNullable<TraceTimelineProps["fetchTrace"]>,
  tell: (asked: Asked) => void,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (!signal.aborted) {
    try {
      const trace = await get(traceId, signal);
      if (trace || performance.now() > until) {
        tell({ trace, waiting: false, error: trace ? null : "Nothing of this trace is stored." });
        return;
      }
      tell({ ...NOTHING, waiting: true });
    } catch (error) {
      if (!signal.aborted) {
        tell({ ...NOTHING, error: error instanceof Error ? error.message : String(error) });
      }
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function fetched(endpoint: string, traceId: string, signal: AbortSignal): Promise<TraceAnswer | null> {
  const response = await fetch(`${endpoint.replace(/\/$/, "")}/${encodeURIComponent(traceId)}`, {
    headers: { accept: "application/json" },
    credentials: "same-origin",
    signal,
  });
  if (response.status === 404) {
    return null;
  }
  if (!response.ok) {
    const told: unknown = await response.json().catch(() => null);
    const detail = (told as { detail?: unknown } | null)?.detail;
    throw new Error(typeof detail === "string" ? detail : `The trace cannot be read (${response.status}).`);
  }
  return (await response.json()) as TraceAnswer;
}
