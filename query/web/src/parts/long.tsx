import { useState } from "react";
import css from "./long.module.css";

interface Props {
  text: string;
  mono?: boolean;
}

const SHORT = 1200;
const SHORT_LINES = 18;

/** A text, at first only its beginning where it is long. */
export function Long({ text, mono }: Props) {
  const [all, setAll] = useState(false);
  const cut = cutAt(text);
  return (
    <>
      <p className={mono ? `${css.text} mono` : css.text}>
        {all || cut === text.length ? text : `${text.slice(0, cut)}…`}
      </p>
      {cut < text.length && (
        <button type="button" className="button" data-small data-plain onClick={() => setAll(!all)}>
          {all ? "Less" : `All ${text.length.toLocaleString("en-US")} characters`}
        </button>
      )}
    </>
  );
}

function cutAt(text: string): number {
  let line = 0;
  let at = -1;
  do {
    at = text.indexOf("\n", at + 1);
    line++;
  } while (at >= 0 && line < SHORT_LINES);
  const byLines = at < 0 ? text.length : at;
  const wanted = Math.min(byLines, SHORT);
  return text.length - wanted < 80 ? text.length : wanted;
}
