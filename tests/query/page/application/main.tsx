import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { type SpanNode, TraceTimeline } from "./ganglion/trace-timeline.js";
import "./ganglion/trace-timeline.css";

function Application({ traceId }: { traceId: string }) {
  const [span, setSpan] = useState<SpanNode | null>(null);
  return (
    <main>
      <h1>Your request</h1>
      <TraceTimeline traceId={traceId} endpoint="/my/trace" height={520} onSpanSelect={setSpan} />
      <p role="status" aria-label="Chosen">
        {span ? `${span.name} took ${Math.round(span.duration_ms ?? 0)} ms` : "nothing"}
      </p>
    </main>
  );
}

const traceId = new URLSearchParams(location.search).get("trace") ?? "";
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Application traceId={traceId} />
  </StrictMode>,
);
