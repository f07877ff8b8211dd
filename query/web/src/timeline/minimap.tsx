import { useEffect, useRef, useState } from "react";
import { useRange } from "./axis";
import { hueOf, resolved } from "./colors";
import type { Extent, Model } from "./model";
import css from "./timeline.module.css";
import { useWidth } from "./use-width";

interface Props {
  model: Model;
  view: Extent;
  onView: (view: Extent | null) => void;
}

const HEIGHT = 44;

/** The whole trace at a glance; dragging chooses the part that the rows show. */
export function Minimap({ model, view, onView }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const scheme = useScheme();
  const drag = useRange(model.extent, model.extent, onView);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scheme changes what the tokens resolve to
  useEffect(() => {
    if (canvas.current && box.current && width) {
      draw(canvas.current, box.current, model, width);
    }
  }, [model, width, scheme]);
  const size = model.extent.to - model.extent.from;
  const left = ((view.from - model.extent.from) / size) * 100;
  const right = ((model.extent.to - view.to) / size) * 100;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a pointer's short cut; keys and buttons of the toolbar zoom too
    <div
      ref={box}
      className={css.minimap}
      title="Drag to zoom, double click to show all"
      onDoubleClick={() => onView(null)}
      {...drag.handlers}
    >
      <canvas ref={canvas} className={css.canvas} />
      {left > 0 && <span className={css.veil} style={{ left: 0, width: `${left}%` }} />}
      {right > 0 && <span className={css.veil} style={{ right: 0, width: `${right}%` }} />}
      {drag.band && <span className={css.band} style={drag.band} />}
    </div>
  );
}

/** Count the changes between light and dark. */
function useScheme(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const changed = () => setChanges((old) => old + 1);
    const query = matchMedia("(prefers-color-scheme: dark)");
    query.addEventListener("change", changed);
    const observer = new MutationObserver(changed);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      query.removeEventListener("change", changed);
      observer.disconnect();
    };
  }, []);
  return changes;
}

function draw(canvas: HTMLCanvasElement, box: HTMLElement, model: Model, width: number) {
  const scale = devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const context = canvas.getContext("2d");
  if (!context) {
    return;
  }
  context.scale(scale, scale);
  const { from, to } = model.extent;
  const x = (offset: number) => ((offset - from) / (to - from)) * width;
  const step = (HEIGHT - 8) / Math.max(model.entries.length, 6);
  const thickness = Math.max(1, Math.min(3, step - 0.5));
  const bad = resolved(box, "var(--bad-fill)");
  const colors = new Map<string | null, string>();
  for (const { node, index, origin } of model.entries) {
    let color = colors.get(node.service_name);
    if (!color) {
      color = resolved(box, hueOf(model.services, node.service_name));
      colors.set(node.service_name, color);
    }
    context.fillStyle = origin ? bad : color;
    const length = Math.max(1.5, x(node.offset_ms + (node.duration_ms ?? 0)) - x(node.offset_ms));
    context.fillRect(x(node.offset_ms), 4 + index * step, length, thickness);
  }
}
