import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import type { SpanComparison } from "~/api/types";
import { useNarrow } from "~/parts/use-narrow";
import type { Model } from "~/timeline/model";
import css from "./detail.module.css";
import { MarkDetail } from "./mark-detail";
import { SpanPanel } from "./span-panel";

interface Props {
  model: Model;
  selected: string;
  compared: SpanComparison | null;
  onShow: (key: string) => void;
  onClose: () => void;
}

/** What is stored of the chosen span, log or event. */
export function Detail({ model, selected, compared, onShow, onClose }: Props) {
  const mark = model.marks.find((one) => one.key === selected);
  const entry = model.byId.get(selected);
  return (
    <Side label="Details" onClose={onClose}>
      {entry && <SpanPanel model={model} entry={entry} compared={compared} onShow={onShow} />}
      {mark && <MarkDetail model={model} mark={mark} onShow={onShow} />}
      {!entry && !mark && <p className={css.nothing}>It is not in this trace.</p>}
    </Side>
  );
}

interface SideProps {
  label: string;
  onClose: () => void;
  children: ReactNode;
}

/** Beside the tree; on a narrow screen a sheet over it. */
export function Side({ label, onClose, children }: SideProps) {
  const narrow = useNarrow(860);
  const sheet = useRef<HTMLElement>(null);
  useEffect(() => {
    if (narrow) {
      sheet.current?.focus({ preventScroll: true });
    }
  }, [narrow]);
  return (
    <aside ref={sheet} className={css.detail} aria-label={label} tabIndex={-1} data-testid="detail">
      <button
        type="button"
        className={`button ${css.close}`}
        data-icon
        data-plain
        data-small
        aria-label={`Close ${label.toLowerCase()}`}
        onClick={onClose}
      >
        <X size={16} aria-hidden="true" />
      </button>
      {children}
    </aside>
  );
}
