/** Server-sent events read by fetch, since EventSource cannot send the Authorization header. */

import { createParser } from "eventsource-parser";
import { ApiError, address, open, type Query } from "~/api/client";
import type { LogRow } from "~/api/types";

export type TailState = "connecting" | "live" | "retrying" | "refused";

export interface TailListener {
  onLog(log: LogRow): void;
  /** There was more than could be told. */
  onGap(): void;
  onState(state: TailState, detail?: string): void;
}

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 15_000;

/** Follow new logs until `signal` aborts, connecting again whenever the line is cut. */
export async function tail(query: Query, listener: TailListener, signal: AbortSignal): Promise<void> {
  let delay = FIRST_DELAY_MS;
  while (!signal.aborted) {
    listener.onState("connecting");
    try {
      await follow(address("/logs/tail", query), listener, signal, () => {
        delay = FIRST_DELAY_MS;
        listener.onState("live");
      });
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
        listener.onState("refused", error.detail);
        return;
      }
    }
    listener.onState("retrying");
    await pause(delay, signal);
    delay = Math.min(delay * 2, LONGEST_DELAY_MS);
  }
}

async function follow(
  url: string,
  listener: TailListener,
  signal: AbortSignal,
  onOpen: () => void,
): Promise<void> {
  const response = await open(url, "text/event-stream", signal);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) {
    return;
  }
  onOpen();
  const parser = createParser({
    onEvent(event) {
      if (event.event === "gap") {
        listener.onGap();
      } else if (event.event === "log") {
        listener.onLog(JSON.parse(event.data) as LogRow);
      }
    },
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    parser.feed(value);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
