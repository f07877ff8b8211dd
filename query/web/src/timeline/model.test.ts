import { describe, expect, it } from "vitest";
import type { LogRow, SpanNode, TraceAnswer } from "~/api/types";
import { buildModel, instant, matchesOf, place, rowsOf, type Shown, ticksOf, zoomed } from "./model";

const START = "2026-11-20T15:00:00.000000Z";
const EVERYTHING: Shown = { collapsed: new Set(), logs: "all", criticalOnly: false };

function span(
  id: string,
  depth: number,
  offset: number,
  duration: number,
  more: Partial<SpanNode> = {},
): SpanNode {
  return {
    span_id: id,
    parent_span_id: null,
    depth,
    children: 0,
    orphaned: false,
    name: id,
    kind: "INTERNAL",
    service_name: "shop",
    start_time: START,
    offset_ms: offset,
    duration_ms: duration,
    self_time_ms: 0,
    critical_ms: 0,
    status: "UNSET",
    status_message: null,
    layer: null,
    model: null,
    tokens: null,
    cost: null,
    events: [],
    has_messages: false,
    clock_skew_ms: 0,
    ...more,
  };
}

function log(spanId: string | null, offset: number, level: string, message: string): LogRow {
  const timestamp = new Date(Date.parse(START) + offset).toISOString();
  return { timestamp, level, message, span_id: spanId, service_name: "shop", error: null } as LogRow;
}

function trace(spans: SpanNode[], more: Partial<TraceAnswer> = {}): TraceAnswer {
  return { start_time: START, duration_ms: 100, spans, logs: [], critical_path: [], ...more } as TraceAnswer;
}

const keys = (model: ReturnType<typeof buildModel>, shown: Partial<Shown> = {}) =>
  rowsOf(model, { ...EVERYTHING, ...shown }).map((row) => row.key);

describe("rowsOf", () => {
  const spans = [span("a", 0, 0, 100), span("b", 1, 10, 20), span("c", 2, 12, 5), span("d", 1, 50, 40)];
  const logs = [log("a", 5, "INFO", "one"), log("a", 40, "ERROR", "two"), log(null, 1, "INFO", "loose")];
  const model = buildModel(trace(spans, { logs }));

  it("puts logs at their time between the spans below their own", () => {
    expect(keys(model)).toEqual(["a", "log-0", "b", "c", "log-1", "d", "log-2"]);
  });

  it("hides what lies below a collapsed span", () => {
    expect(keys(model, { collapsed: new Set(["a"]) })).toEqual(["a", "log-2"]);
  });

  it("shows only the logs that are asked for", () => {
    expect(keys(model, { logs: "warnings" })).toEqual(["a", "b", "c", "log-1", "d"]);
    expect(keys(model, { logs: "none" })).toEqual(["a", "b", "c", "d"]);
  });

  it("keeps to the critical path and what it lies below", () => {
    const step = { span_id: "c", name: "c", service_name: "shop", offset_ms: 12, duration_ms: 5 };
    const told = buildModel(trace(spans, { critical_path: [step] }));
    expect(keys(told, { criticalOnly: true })).toEqual(["a", "b", "c"]);
  });

  it("takes a chain of 10,000 spans", () => {
    const chain = Array.from({ length: 10_000 }, (_, depth) => span(`s${depth}`, depth, 0, 1));
    expect(keys(buildModel(trace(chain)))).toHaveLength(10_000);
  });
});

it("knows where a failure began", () => {
  const failed = { status: "ERROR" };
  const model = buildModel(
    trace([span("a", 0, 0, 9, failed), span("b", 1, 1, 5, failed), span("c", 1, 7, 1)]),
  );
  expect(model.entries.map((entry) => entry.origin)).toEqual([false, true, false]);
  expect(model.entries[0]?.failedBelow).toBe(true);
});

it("reaches from the first log to the last", () => {
  const logs = [log("a", -3, "INFO", "early"), log("a", 130, "INFO", "late")];
  expect(buildModel(trace([span("a", 0, 0, 100)], { logs })).extent).toEqual({ from: -3, to: 130 });
});

it("finds by name, message and model, whatever the case", () => {
  const logs = [log("a", 5, "INFO", "Refund refused")];
  const model = buildModel(trace([span("a", 0, 0, 9, { model: "gpt-4o" }), span("b", 1, 1, 2)], { logs }));
  expect([...matchesOf(model, "GPT")]).toEqual(["a"]);
  expect([...matchesOf(model, "refund")]).toEqual(["log-0"]);
  expect(matchesOf(model, " ").size).toBe(0);
});

describe("place", () => {
  const view = { from: 100, to: 200 };

  it("is in percent of the view", () => {
    expect(place(125, 50, view)).toEqual({ left: 25, width: 50 });
  });

  it("ends at the edges", () => {
    expect(place(50, 1000, view)).toEqual({ left: 0, width: 100 });
  });

  it("is nowhere outside", () => {
    expect(place(10, 20, view)).toBeNull();
    expect(place(300, 20, view)).toBeNull();
  });
});

it("has round ticks", () => {
  expect(ticksOf({ from: 0, to: 9700 }, 4)).toEqual([0, 2500, 5000, 7500]);
  expect(ticksOf({ from: -3, to: 4 }, 8)).toEqual([-3, -2, -1, 0, 1, 2, 3, 4]);
});

it("zooms within the trace", () => {
  const extent = { from: 0, to: 100 };
  expect(zoomed(extent, extent, 0.5)).toEqual({ from: 25, to: 75 });
  expect(zoomed({ from: 80, to: 100 }, extent, 4)).toEqual({ from: 20, to: 100 });
  expect(zoomed({ from: 25, to: 75 }, extent, 4)).toEqual(extent);
});

it("keeps the microseconds that Date leaves out", () => {
  expect(instant("2026-11-20T15:00:00.000250Z") - instant("2026-11-20T15:00:00.000000Z")).toBeCloseTo(
    0.25,
    2,
  );
});
