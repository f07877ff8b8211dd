import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useRef } from "react";
import css from "./list.module.css";

interface Props<T> {
  label: string;
  items: readonly T[];
  keyOf: (item: T, index: number) => string;
  height: number;
  head?: ReactNode;
  foot?: ReactNode;
  row: (item: T, index: number) => ReactNode;
  onOpen?: (item: T, index: number) => void;
  /** The end is near: there may be more to fetch. */
  onEnd?: () => void;
  frame?: RefObject<HTMLElement | null>;
  onScroll?: () => void;
}

const NEAR = 30;

/** A long list of which only what is in sight is in the page; rows may grow. */
export function List<T>(props: Props<T>) {
  const { label, items, keyOf, height, head, foot, row, onOpen, onEnd, onScroll } = props;
  const own = useRef<HTMLElement>(null);
  const frame = props.frame ?? own;
  const virtual = useVirtualizer({
    count: items.length,
    getScrollElement: () => frame.current,
    estimateSize: () => height,
    overscan: 10,
    getItemKey: (index) => {
      const item = items[index];
      return item === undefined ? index : keyOf(item, index);
    },
  });
  const shown = virtual.getVirtualItems();
  const last = shown[shown.length - 1]?.index ?? 0;
  useEffect(() => {
    if (items.length && last >= items.length - NEAR) {
      onEnd?.();
    }
  }, [last, items.length, onEnd]);
  const onKey = (event: KeyboardEvent<HTMLElement>) => {
    const target = event.target as HTMLElement;
    const at = Number(target.closest<HTMLElement>("[data-index]")?.dataset.index ?? -1);
    if (target.closest("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const change = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const item = items[at];
    if (change) {
      event.preventDefault();
      focusRow(frame.current, virtual, Math.max(0, Math.min(items.length - 1, at + change)));
    } else if (event.key === "Enter" && item !== undefined && target.dataset.index) {
      event.preventDefault();
      onOpen?.(item, at);
    }
  };
  return (
    <section
      ref={frame}
      className={css.frame}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
      tabIndex={0}
      aria-label={label}
      onKeyDown={onKey}
      onScroll={onScroll}
      data-testid="list"
    >
      <div role="table" aria-label={label} aria-rowcount={items.length + (head ? 1 : 0)}>
        {head && (
          <div role="rowgroup" className={css.head}>
            {head}
          </div>
        )}
        <div role="rowgroup" className={css.body} style={{ height: virtual.getTotalSize() }}>
          {shown.map((item) => {
            const value = items[item.index];
            return (
              value !== undefined && (
                // biome-ignore lint/a11y/useKeyWithClickEvents: Enter is handled by the list
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  role="row"
                  aria-rowindex={item.index + (head ? 2 : 1)}
                  tabIndex={-1}
                  className={css.row}
                  data-index={item.index}
                  data-open={onOpen ? true : undefined}
                  style={{ transform: `translateY(${item.start}px)` }}
                  onClick={(event) => {
                    if (!(event.target as HTMLElement).closest("a, button") && !getSelection()?.toString()) {
                      onOpen?.(value, item.index);
                    }
                  }}
                >
                  {row(value, item.index)}
                </div>
              )
            );
          })}
        </div>
      </div>
      {foot}
    </section>
  );
}

interface Scrolling {
  scrollToIndex: (index: number, options?: { align?: "auto" }) => void;
}

function focusRow(frame: HTMLElement | null, virtual: Scrolling, index: number, tries = 5) {
  virtual.scrollToIndex(index, { align: "auto" });
  const row = frame?.querySelector<HTMLElement>(`[data-index="${index}"]`);
  if (row) {
    row.focus({ preventScroll: true });
  } else if (tries) {
    requestAnimationFrame(() => focusRow(frame, virtual, index, tries - 1));
  }
}
