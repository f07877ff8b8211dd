import { useCallback, useEffect, useRef, useState } from "react";
import type { Query } from "~/api/client";
import { type TailState, tail } from "~/api/stream";
import type { LogRow } from "~/api/types";

const MOST = 5000;
const SHOW_EVERY_MS = 150;

export interface Tailing {
  on: boolean;
  state: TailState;
  detail: string | null;
  logs: readonly LogRow[];
  paused: boolean;
  waiting: number;
  skipped: boolean;
  pause: () => void;
}

/** Follow new logs, the newest first; while paused they wait out of sight. */
export function useTail(query: Query, on: boolean): Tailing {
  const [logs, setLogs] = useState<readonly LogRow[]>([]);
  const [state, setState] = useState<TailState>("connecting");
  const [detail, setDetail] = useState<string | null>(null);
  const [paused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [skipped, setSkipped] = useState(false);
  const fresh = useRef<LogRow[]>([]);
  const asked = JSON.stringify(query);
  useEffect(() => {
    setLogs([]);
    setSkipped(false);
    fresh.current = [];
    if (!on) {
      return;
    }
    const stop = new AbortController();
    void tail(
      JSON.parse(asked),
      {
        onLog: (log) => {
          fresh.current.push(log);
          fresh.current.splice(0, fresh.current.length - MOST);
        },
        onGap: () => setSkipped(true),
        onState: (next, why) => {
          setState(next);
          setDetail(why ?? null);
        },
      },
      stop.signal,
    );
    return () => stop.abort();
  }, [asked, on]);
  useEffect(() => {
    if (!on) {
      return;
    }
    const timer = setInterval(() => {
      setWaiting(paused ? fresh.current.length : 0);
      if (!paused && fresh.current.length) {
        const taken = fresh.current.reverse();
        fresh.current = [];
        setLogs((old) => [...taken, ...old].slice(0, MOST));
      }
    }, SHOW_EVERY_MS);
    return () => clearInterval(timer);
  }, [on, paused]);
  const pause = useCallback(() => setPaused((old) => !old), []);
  return { on, state, detail, logs, paused, waiting, skipped, pause };
}
