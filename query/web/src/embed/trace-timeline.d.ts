/** What the packaged component offers: `import { TraceTimeline } from "…/embed/trace-timeline.js"`. */

import type { ReactElement } from "react";
import type { components } from "../api/schema";

export type TraceAnswer = components["schemas"]["TraceAnswer"];
export type SpanNode = components["schemas"]["SpanNode"];

export interface TraceTimelineProps {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** GET `{endpoint}/{traceId}` answers with a TraceAnswer; `/api/v1/traces` where nothing is said. */
  endpoint?: string;
  /** Gets the trace in another way; null says that nothing of it is stored yet. */
  fetchTrace?: (traceId: string, signal: AbortSignal) => Promise<TraceAnswer | null>;
  /** `auto` is as the page around it. */
  colorScheme?: "auto" | "light" | "dark";
  /** Pixels, or any CSS length; 480 where nothing is said. */
  height?: number | string;
  onSpanSelect?: (span: SpanNode | null) => void;
}

export declare function TraceTimeline(props: TraceTimelineProps): ReactElement;
