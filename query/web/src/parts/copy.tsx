import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";
import css from "./copy.module.css";

interface Props {
  value: string;
  label: string;
  /** Show it as an id: its name, then the value. */
  shown?: string;
}

const SHOWN_MS = 1400;

/** A button that copies a value and says so. */
export function Copy({ value, label, shown }: Props) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (copied) {
      const timer = setTimeout(() => setCopied(false), SHOWN_MS);
      return () => clearTimeout(timer);
    }
  }, [copied]);
  const Shape = copied ? Check : CopyIcon;
  return (
    <button
      type="button"
      className={shown ? css.id : css.copy}
      title={`Copy ${label}`}
      aria-label={copied ? `${label} copied` : `Copy ${label}${shown ? ` ${value}` : ""}`}
      onClick={async (event) => {
        event.stopPropagation();
        setCopied(await write(value));
      }}
    >
      {shown && <span className={css.shown}>{shown}</span>}
      <Shape size={12} aria-hidden="true" className={copied ? css.done : undefined} />
    </button>
  );
}

/** Put a text on the clipboard, also where the page is not in a secure context. */
async function write(value: string): Promise<boolean> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(value);
      return true;
    } catch {
      return writeBySelection(value);
    }
  }
  return writeBySelection(value);
}

function writeBySelection(value: string): boolean {
  const area = document.createElement("textarea");
  area.value = value;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
