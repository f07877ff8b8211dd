import { CornerLeftUp } from "lucide-react";
import { LogFields } from "~/parts/log-fields";
import { Values } from "~/parts/values";
import { clock, duration } from "~/state/format";
import type { Mark, Model } from "~/timeline/model";
import css from "./detail.module.css";

interface Props {
  model: Model;
  mark: Mark;
  onShow: (key: string) => void;
}

/** One log or event of the trace. */
export function MarkDetail({ model, mark, onShow }: Props) {
  const owner = mark.spanId ? model.byId.get(mark.spanId) : undefined;
  return (
    <>
      <header className={css.head}>
        <h2 className={css.name}>{mark.text || "(no message)"}</h2>
        <div className="line">
          <span className="chip" data-tone={toneOf(mark)}>
            {mark.log ? (mark.log.level ?? "log").toLowerCase() : "event"}
          </span>
          <span className="soft">at {duration(mark.offset)}</span>
          {owner && (
            <button
              type="button"
              className="button"
              data-small
              data-plain
              onClick={() => onShow(owner.node.span_id)}
            >
              <CornerLeftUp size={13} aria-hidden="true" />
              {owner.node.name}
            </button>
          )}
        </div>
      </header>
      <div className={css.panel}>
        {mark.log && <LogFields log={mark.log} inTrace />}
        {mark.event && <Values of={mark.event.attributes} none="The event has no attributes." />}
      </div>
    </>
  );
}

function toneOf(mark: Mark): string | undefined {
  return mark.level === "error" ? "bad" : mark.level === "warning" ? "warn" : undefined;
}

export function MarkList({ marks, onShow }: { marks: Mark[]; onShow: (key: string) => void }) {
  return (
    <ul className={css.marks}>
      {marks.map((mark) => (
        <li key={mark.key}>
          <button type="button" data-level={mark.level} onClick={() => onShow(mark.key)}>
            <span className="soft">{mark.log && clock(mark.log.timestamp)}</span>
            <span className={css.markText}>{mark.text}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
