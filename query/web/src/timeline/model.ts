/** What a trace looks like on a time axis: pure, so that it can be tested. */

import type { CriticalStep, LogRow, SpanEvent, SpanNode, TraceAnswer } from "~/api/types";

export type LogsShown = "none" | "warnings" | "all";

export interface Extent {
  from: number;
  to: number;
}

export interface Mark {
  kind: "log" | "event";
  key: string;
  offset: number;
  level: Level;
  text: string;
  log: LogRow | null;
  event: SpanEvent | null;
  spanId: string | null;
  /** The service that logged it, where that is not the one whose span it lies in. */
  elsewhere: string | null;
}

export type Level = "debug" | "info" | "warning" | "error";

export interface SpanEntry {
  node: SpanNode;
  index: number;
  parent: SpanEntry | null;
  children: SpanEntry[];
  marks: Mark[];
  steps: CriticalStep[];
  failedBelow: boolean;
  /** It failed and nothing below it did: here the failure began. */
  origin: boolean;
  /** It or something below it lies on the critical path. */
  critical: boolean;
}

export interface Model {
  trace: TraceAnswer;
  entries: SpanEntry[];
  byId: Map<string, SpanEntry>;
  roots: SpanEntry[];
  /** Logs of the trace that name no span which is here. */
  loose: Mark[];
  marks: Mark[];
  extent: Extent;
  services: string[];
}

export interface SpanRowModel {
  kind: "span";
  key: string;
  depth: number;
  entry: SpanEntry;
  expanded: boolean;
  expandable: boolean;
  position: number;
  siblings: number;
}

export interface MarkRowModel {
  kind: "mark";
  key: string;
  depth: number;
  mark: Mark;
}

export type RowModel = SpanRowModel | MarkRowModel;

/** Return milliseconds since the epoch, with the microseconds that Date leaves out. */
export function instant(iso: string): number {
  const ms = Date.parse(iso);
  const fraction = /\.\d{3}(\d{1,6})/.exec(iso);
  return fraction?.[1] ? ms + Number(`0.${fraction[1]}`) : ms;
}

export function levelOf(level: string | null): Level {
  switch (level?.toUpperCase()) {
    case "ERROR":
    case "CRITICAL":
    case "FATAL":
      return "error";
    case "WARNING":
    case "WARN":
      return "warning";
    case "DEBUG":
    case "TRACE":
      return "debug";
    default:
      return "info";
  }
}

export function isFailed(node: SpanNode): boolean {
  return node.status === "ERROR";
}

export function buildModel(trace: TraceAnswer): Model {
  const start = instant(trace.start_time);
  const entries: SpanEntry[] = trace.spans.map((node, index) => ({
    node,
    index,
    parent: null,
    children: [],
    marks: node.events.map((event, at) => eventMark(node, event, at, start)),
    steps: [],
    failedBelow: false,
    origin: false,
    critical: false,
  }));
  const byId = new Map(entries.map((entry) => [entry.node.span_id, entry]));
  const roots = hang(entries);
  for (const entry of entries) {
    entry.origin = isFailed(entry.node) && !entry.failedBelow;
  }
  for (const step of trace.critical_path) {
    const entry = byId.get(step.span_id);
    entry?.steps.push(step);
    for (let above = entry; above && !above.critical; above = above.parent ?? undefined) {
      above.critical = true;
    }
  }
  const loose: Mark[] = [];
  trace.logs.forEach((log, index) => {
    const owner = log.span_id ? byId.get(log.span_id) : undefined;
    const mark = logMark(log, index, start, owner);
    (owner?.marks ?? loose).push(mark);
  });
  for (const entry of entries) {
    entry.marks.sort((one, other) => one.offset - other.offset);
  }
  const marks = [...loose, ...entries.flatMap((entry) => entry.marks)];
  return {
    trace,
    entries,
    byId,
    roots,
    loose,
    marks,
    extent: extentOf(trace, marks),
    services: servicesOf(trace),
  };
}

/** Put entries, which come depth first, below each other; the depth alone says where. */
function hang(entries: SpanEntry[]): SpanEntry[] {
  const roots: SpanEntry[] = [];
  const path: SpanEntry[] = [];
  for (const entry of entries) {
    path.length = Math.min(path.length, entry.node.depth);
    const parent = path[path.length - 1];
    entry.parent = parent ?? null;
    (parent?.children ?? roots).push(entry);
    path.push(entry);
    if (isFailed(entry.node)) {
      for (let above = parent; above && !above.failedBelow; above = above.parent ?? undefined) {
        above.failedBelow = true;
      }
    }
  }
  return roots;
}

function eventMark(node: SpanNode, event: SpanEvent, index: number, start: number): Mark {
  const failed = event.name === "exception";
  const told = event.attributes["exception.message"] ?? event.attributes["exception.type"];
  return {
    kind: "event",
    key: `event-${node.span_id}-${index}`,
    offset: instant(event.timestamp) - start + node.clock_skew_ms,
    level: failed ? "error" : "info",
    text: failed && typeof told === "string" ? `${event.name}: ${told}` : event.name,
    log: null,
    event,
    spanId: node.span_id,
    elsewhere: null,
  };
}

function logMark(log: LogRow, index: number, start: number, owner: SpanEntry | undefined): Mark {
  const text = log.message ?? log.error ?? "";
  return {
    kind: "log",
    key: `log-${index}`,
    offset: instant(log.timestamp) - start + (owner?.node.clock_skew_ms ?? 0),
    level: levelOf(log.level),
    text: log.error && log.error !== text ? `${text} · ${log.error}` : text,
    log,
    event: null,
    spanId: log.span_id,
    elsewhere: log.service_name === owner?.node.service_name ? null : log.service_name,
  };
}

function extentOf(trace: TraceAnswer, marks: Mark[]): Extent {
  let from = 0;
  let to = trace.duration_ms;
  for (const mark of marks) {
    from = Math.min(from, mark.offset);
    to = Math.max(to, mark.offset);
  }
  return { from, to: to > from ? to : from + 1 };
}

/** In the order in which they took part, which is what people follow. */
function servicesOf(trace: TraceAnswer): string[] {
  const names = new Set<string>();
  for (const span of trace.spans) {
    if (span.service_name) {
      names.add(span.service_name);
    }
  }
  for (const log of trace.logs) {
    if (log.service_name) {
      names.add(log.service_name);
    }
  }
  return [...names];
}

export interface Shown {
  collapsed: ReadonlySet<string>;
  logs: LogsShown;
  criticalOnly: boolean;
}

/** Return the rows in order: spans depth first, with logs and events at their time between the children. */
export function rowsOf(model: Model, shown: Shown): RowModel[] {
  const rows: RowModel[] = [];
  const stack: (SpanRowModel | MarkRowModel)[] = [];
  const push = (children: SpanEntry[], marks: Mark[], depth: number) => {
    const below = mixed(
      shown.criticalOnly ? children.filter((entry) => entry.critical) : children,
      marks.filter((mark) => isShown(mark, shown.logs)),
      depth,
      shown,
    );
    for (let at = below.length - 1; at >= 0; at--) {
      stack.push(below[at] as RowModel);
    }
  };
  push(model.roots, model.loose, 0);
  for (let row = stack.pop(); row; row = stack.pop()) {
    rows.push(row);
    if (row.kind === "span" && row.expanded) {
      push(row.entry.children, row.entry.marks, row.depth + 1);
    }
  }
  return rows;
}

function mixed(children: SpanEntry[], marks: Mark[], depth: number, shown: Shown): RowModel[] {
  const rows: RowModel[] = children.map((entry, index) => {
    const expandable =
      entry.children.length > 0 ||
      (shown.logs !== "none" && entry.marks.some((mark) => isShown(mark, shown.logs)));
    return {
      kind: "span",
      key: entry.node.span_id,
      depth,
      entry,
      expandable,
      expanded: expandable && !shown.collapsed.has(entry.node.span_id),
      position: index + 1,
      siblings: children.length,
    };
  });
  for (const mark of marks) {
    rows.push({ kind: "mark", key: mark.key, depth, mark });
  }
  return marks.length ? rows.sort((one, other) => startOf(one) - startOf(other)) : rows;
}

function startOf(row: RowModel): number {
  return row.kind === "span" ? row.entry.node.offset_ms : row.mark.offset;
}

export function isShown(mark: Mark, shown: LogsShown): boolean {
  return shown === "all" || (shown === "warnings" && (mark.level === "warning" || mark.level === "error"));
}

/** Return the keys of rows that a text is in: names, services, models, messages, errors, ids. */
export function matchesOf(model: Model, query: string): Set<string> {
  const wanted = query.trim().toLowerCase();
  const found = new Set<string>();
  if (!wanted) {
    return found;
  }
  for (const { node } of model.entries) {
    const words = [node.name, node.service_name, node.layer, node.model, node.span_id, node.status_message];
    if (words.some((word) => word?.toLowerCase().includes(wanted))) {
      found.add(node.span_id);
    }
  }
  for (const mark of model.marks) {
    const words = [mark.text, mark.log?.logger, mark.log?.service_name];
    if (words.some((word) => word?.toLowerCase().includes(wanted))) {
      found.add(mark.key);
    }
  }
  return found;
}

/** Return where a stretch lies in a view, in percent, null if it is outside. */
export function place(from: number, length: number, view: Extent): { left: number; width: number } | null {
  const size = view.to - view.from;
  const start = (from - view.from) / size;
  const end = (from + length - view.from) / size;
  if (end < 0 || start > 1) {
    return null;
  }
  const left = Math.max(0, start);
  return { left: left * 100, width: (Math.min(1, end) - left) * 100 };
}

/** Return round times of a view, at most about `wanted` of them. */
export function ticksOf(view: Extent, wanted: number): number[] {
  const rough = (view.to - view.from) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const ticks: number[] = [];
  for (let index = Math.ceil(view.from / step); index * step <= view.to; index++) {
    ticks.push(index * step);
  }
  return ticks;
}

/** Return a view within the extent, at least a little wide. */
export function clampView(view: Extent, extent: Extent): Extent {
  const whole = extent.to - extent.from;
  const size = Math.min(whole, Math.max(view.to - view.from, whole / 100_000));
  const from = Math.max(extent.from, Math.min(view.from, extent.to - size));
  return { from, to: from + size };
}

export function zoomed(
  view: Extent,
  extent: Extent,
  factor: number,
  around = (view.from + view.to) / 2,
): Extent {
  return clampView(
    { from: around - (around - view.from) * factor, to: around + (view.to - around) * factor },
    extent,
  );
}
