import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import { Axis } from "./axis";
import { Minimap } from "./minimap";
import {
  type Extent,
  type LogsShown,
  type Model,
  matchesOf,
  type RowModel,
  rowsOf,
  type SpanRowModel,
  zoomed,
} from "./model";
import { MarkRow, SpanRow } from "./rows";
import { Splitter } from "./splitter";
import css from "./timeline.module.css";
import { Toolbar } from "./toolbar";
import { useWidth } from "./use-width";

export interface TimelineState {
  selected: string | null;
  logs: LogsShown;
  criticalOnly: boolean;
  query: string;
  view: Extent | null;
}

interface Props {
  model: Model;
  state: TimelineState;
  onChange: (change: Partial<TimelineState>) => void;
  /** Enter or a click: show what there is of the row. */
  onOpen?: (key: string) => void;
}

const NARROW = 640;
const WIDE = 1180;
const ROW = 30;
const TALL_ROW = 46;

/** The spans of a trace as a tree beside their bars on one time axis, logs and events in place. */
export function Timeline({ model, state, onChange, onOpen }: Props) {
  const id = useId();
  const frame = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const width = useWidth(frame);
  const narrow = width > 0 && width < NARROW;
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(() => new Set());
  const [treeWidth, setTreeWidth] = useState<number | null>(null);
  const view = state.view ?? model.extent;
  const rows = useMemo(
    () => rowsOf(model, { collapsed, logs: state.logs, criticalOnly: state.criticalOnly }),
    [model, collapsed, state.logs, state.criticalOnly],
  );
  const matches = useMemo(() => matchesOf(model, state.query), [model, state.query]);
  const at = useMemo(() => rows.findIndex((row) => row.key === state.selected), [rows, state.selected]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => body.current,
    estimateSize: () => (narrow ? TALL_ROW : ROW),
    overscan: 12,
    getItemKey: (index) => rows[index]?.key ?? index,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows are of another height where it is narrow
  useEffect(() => virtual.measure(), [virtual, narrow]);

  useReveal(model, state.selected, setCollapsed);
  useEffect(() => {
    if (at >= 0) {
      virtual.scrollToIndex(at, { align: "auto" });
    }
  }, [at, virtual]);

  const select = useCallback((key: string) => onChange({ selected: key }), [onChange]);
  const open = useCallback(
    (key: string) => {
      select(key);
      onOpen?.(key);
    },
    [select, onOpen],
  );
  const toggle = useCallback((key: string) => setCollapsed((old) => toggled(old, key)), []);
  const step = (wanted: (row: RowModel) => boolean, direction: 1 | -1) => {
    const found = next(rows, at, direction, wanted);
    if (found) {
      select(found.key);
      body.current?.focus({ preventScroll: true });
    }
  };
  const onKey = (event: KeyboardEvent) => {
    const done = keyed(event, {
      rows,
      at,
      select,
      open,
      toggle,
      error: (direction) => step(isError, direction),
      match: (direction) => step((row) => matches.has(row.key), direction),
      zoom: (factor) => onChange({ view: factor === 0 ? null : zoomed(view, model.extent, factor) }),
      find: () => search.current?.focus(),
    });
    if (done) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  const tree = treeWidth ?? Math.round(Math.min(440, Math.max(250, width * 0.42)));
  return (
    <div
      ref={frame}
      className={narrow ? `${css.frame} ${css.narrow}` : css.frame}
      style={{ ["--tree" as string]: narrow ? "0px" : `${tree}px` }}
    >
      <Toolbar
        model={model}
        state={state}
        matches={matches.size}
        wide={width >= WIDE}
        searchRef={search}
        onChange={onChange}
        onStep={(direction) => step((row) => matches.has(row.key), direction)}
        onError={() => step(isError, 1)}
        onCollapse={(all) => setCollapsed(all ? allWithChildren(model) : new Set())}
      />
      <Minimap model={model} view={view} onView={(extent) => onChange({ view: extent })} />
      <div className={css.head}>
        {!narrow && <div className={css.headTree}>Span</div>}
        {!narrow && <Splitter value={tree} max={width - 220} onChange={setTreeWidth} />}
        <Axis extent={model.extent} view={view} onView={(extent) => onChange({ view: extent })} />
      </div>
      <div
        ref={body}
        className={css.body}
        role="tree"
        aria-label="Spans and logs"
        tabIndex={0}
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}
        onKeyDown={onKey}
        data-testid="timeline-rows"
      >
        <div className={css.rows} role="presentation" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (!row) {
              return null;
            }
            const shared = {
              id: `${id}-${item.index}`,
              top: item.start,
              height: item.size,
              selected: item.index === at,
              matched: matches.has(row.key),
              dimmed: matches.size > 0 && !matches.has(row.key),
              view,
              services: model.services,
              onOpen: open,
            };
            return row.kind === "span" ? (
              <SpanRow
                key={item.key}
                {...shared}
                row={row}
                logs={state.logs}
                narrow={narrow}
                onToggle={toggle}
              />
            ) : (
              <MarkRow key={item.key} {...shared} row={row} narrow={narrow} />
            );
          })}
        </div>
        {rows.length === 0 && (
          <p className={css.nothing}>Nothing of this trace is shown with these choices.</p>
        )}
      </div>
    </div>
  );
}

/** Open whatever the selected row lies in. */
function useReveal(
  model: Model,
  selected: string | null,
  setCollapsed: (change: (old: ReadonlySet<string>) => ReadonlySet<string>) => void,
) {
  useEffect(() => {
    const mark = selected ? model.marks.find((one) => one.key === selected) : undefined;
    const entry = selected ? model.byId.get(mark?.spanId ?? selected) : undefined;
    const above = new Set<string>();
    for (let one = mark ? entry : entry?.parent; one; one = one.parent) {
      above.add(one.node.span_id);
    }
    setCollapsed((old) => {
      const kept = [...old].filter((key) => !above.has(key));
      return kept.length === old.size ? old : new Set(kept);
    });
  }, [model, selected, setCollapsed]);
}

function toggled(old: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const now = new Set(old);
  if (!now.delete(key)) {
    now.add(key);
  }
  return now;
}

function allWithChildren(model: Model): Set<string> {
  return new Set(
    model.entries.filter((entry) => entry.parent && entry.children.length).map((one) => one.node.span_id),
  );
}

function isError(row: RowModel): boolean {
  return row.kind === "span" ? row.entry.node.status === "ERROR" : row.mark.level === "error";
}

function next(
  rows: readonly RowModel[],
  at: number,
  direction: 1 | -1,
  wanted: (row: RowModel) => boolean,
): RowModel | null {
  for (let step = 1; step <= rows.length; step++) {
    const row = rows[(at + direction * step + rows.length * 2) % rows.length];
    if (row && wanted(row)) {
      return row;
    }
  }
  return null;
}

interface Keys {
  rows: readonly RowModel[];
  at: number;
  select: (key: string) => void;
  open: (key: string) => void;
  toggle: (key: string) => void;
  error: (direction: 1 | -1) => void;
  match: (direction: 1 | -1) => void;
  zoom: (factor: number) => void;
  find: () => void;
}

/** Do what a key means; return whether it means something. */
function keyed(event: KeyboardEvent, keys: Keys): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return false;
  }
  const { rows, at } = keys;
  const row = rows[at];
  const go = (index: number) => {
    const target = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (target) {
      keys.select(target.key);
    }
  };
  switch (event.key) {
    case "ArrowDown":
    case "j":
      go(at + 1);
      return true;
    case "ArrowUp":
    case "k":
      go(at < 0 ? 0 : at - 1);
      return true;
    case "PageDown":
      go(at + 15);
      return true;
    case "PageUp":
      go(at - 15);
      return true;
    case "Home":
      go(0);
      return true;
    case "End":
      go(rows.length - 1);
      return true;
    case "ArrowRight":
    case "l":
      unfold(row, keys, () => go(at + 1));
      return true;
    case "ArrowLeft":
    case "h":
      fold(row, keys, () => go(parentAt(rows, at)));
      return true;
    case "Enter":
    case " ":
      if (row) {
        keys.open(row.key);
      }
      return true;
    case "e":
    case "E":
      keys.error(event.key === "e" ? 1 : -1);
      return true;
    case "n":
    case "N":
      keys.match(event.key === "n" ? 1 : -1);
      return true;
    case "+":
    case "=":
      keys.zoom(0.5);
      return true;
    case "-":
      keys.zoom(2);
      return true;
    case "0":
      keys.zoom(0);
      return true;
    case "f":
      keys.find();
      return true;
    default:
      return false;
  }
}

function unfold(row: RowModel | undefined, keys: Keys, down: () => void) {
  if (isExpandable(row) && !row.expanded) {
    keys.toggle(row.key);
  } else {
    down();
  }
}

function fold(row: RowModel | undefined, keys: Keys, up: () => void) {
  if (isExpandable(row) && row.expanded) {
    keys.toggle(row.key);
  } else {
    up();
  }
}

function isExpandable(row: RowModel | undefined): row is SpanRowModel {
  return row?.kind === "span" && row.expandable;
}

function parentAt(rows: readonly RowModel[], at: number): number {
  const depth = rows[at]?.depth ?? 0;
  for (let index = at - 1; index >= 0; index--) {
    if ((rows[index]?.depth ?? 0) < depth) {
      return index;
    }
  }
  return at;
}
