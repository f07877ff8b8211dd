import { type PointerEvent, useRef, useState } from "react";
import { durationTick } from "~/state/format";
import { clampView, type Extent, ticksOf } from "./model";
import css from "./timeline.module.css";
import { useWidth } from "./use-width";

interface Props {
  extent: Extent;
  view: Extent;
  onView: (view: Extent | null) => void;
}

const PER_TICK = 84;

/** Round times above the bars; dragging zooms, a double click shows all. */
export function Axis({ extent, view, onView }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const width = useWidth(element);
  const drag = useRange(extent, view, onView);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a pointer's short cut; keys and buttons of the toolbar zoom too
    <div
      ref={element}
      className={css.axis}
      title="Drag to zoom, double click to show all"
      onDoubleClick={() => onView(null)}
      {...drag.handlers}
    >
      {ticksOf(view, width / PER_TICK).map((tick) => {
        const left = ((tick - view.from) / (view.to - view.from)) * 100;
        return (
          <span
            key={tick}
            className={css.tick}
            style={{ left: `${left}%` }}
            data-last={left > 93 || undefined}
          >
            {durationTick(tick)}
          </span>
        );
      })}
      {drag.band && <span className={css.band} style={drag.band} />}
    </div>
  );
}

interface Drag {
  band: { left: string; width: string } | null;
  handlers: {
    onPointerDown: (event: PointerEvent<HTMLElement>) => void;
    onPointerMove: (event: PointerEvent<HTMLElement>) => void;
    onPointerUp: () => void;
    onPointerCancel: () => void;
  };
}

const LEAST_PIXELS = 4;

/** Let a stretch of `view` be chosen by dragging over an element as wide as it. */
export function useRange(extent: Extent, view: Extent, onView: (view: Extent) => void): Drag {
  const [range, setRange] = useState<[number, number] | null>(null);
  const box = useRef<DOMRect | null>(null);
  const share = (event: PointerEvent<HTMLElement>) => {
    const { left, width } = box.current ?? event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - left) / width));
  };
  const [from, to] = range ? [Math.min(...range), Math.max(...range)] : [0, 0];
  return {
    band: range && { left: `${from * 100}%`, width: `${(to - from) * 100}%` },
    handlers: {
      onPointerDown: (event) => {
        if (event.button === 0) {
          box.current = event.currentTarget.getBoundingClientRect();
          event.currentTarget.setPointerCapture(event.pointerId);
          setRange([share(event), share(event)]);
        }
      },
      onPointerMove: (event) => {
        if (range) {
          setRange([range[0], share(event)]);
        }
      },
      onPointerUp: () => {
        if (range && (to - from) * (box.current?.width ?? 0) > LEAST_PIXELS) {
          const size = view.to - view.from;
          onView(clampView({ from: view.from + from * size, to: view.from + to * size }, extent));
        }
        setRange(null);
      },
      onPointerCancel: () => setRange(null),
    },
  };
}
