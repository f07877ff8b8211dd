import { type PointerEvent, useRef } from "react";
import css from "./timeline.module.css";

interface Props {
  value: number;
  max: number;
  onChange: (value: number) => void;
}

const LEAST = 180;

/** The line between tree and bars; it can be dragged and moved by arrow keys. */
export function Splitter({ value, max, onChange }: Props) {
  const start = useRef<{ x: number; value: number } | null>(null);
  const set = (wanted: number) => onChange(Math.max(LEAST, Math.min(max, wanted)));
  const onDown = (event: PointerEvent<HTMLElement>) => {
    start.current = { x: event.clientX, value };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onMove = (event: PointerEvent<HTMLElement>) => {
    if (start.current) {
      set(start.current.value + event.clientX - start.current.x);
    }
  };
  return (
    <div
      className={css.splitter}
      role="separator"
      aria-label="Width of the tree"
      aria-orientation="vertical"
      aria-valuenow={value}
      aria-valuemin={LEAST}
      aria-valuemax={Math.max(LEAST, max)}
      tabIndex={0}
      onPointerDown={onDown}
      onPointerMove={onMove}
      onPointerUp={() => {
        start.current = null;
      }}
      onKeyDown={(event) => {
        const change = event.key === "ArrowLeft" ? -16 : event.key === "ArrowRight" ? 16 : 0;
        if (change) {
          event.preventDefault();
          set(value + change);
        }
      }}
    />
  );
}
