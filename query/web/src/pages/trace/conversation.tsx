import type { Message, SpanDetail } from "~/api/types";
import { Copy } from "~/parts/copy";
import { Long } from "~/parts/long";
import css from "./conversation.module.css";

/** What was said to a model and what it answered; text, never markup. */
export function Conversation({ detail }: { detail: SpanDetail }) {
  const said = [...detail.prompt, ...detail.completion];
  if (!said.length) {
    return <p className="soft">Nothing of what was said is stored.</p>;
  }
  return (
    <ol className={css.talk}>
      {detail.prompt.map((message, index) => (
        <Said key={index} message={message} />
      ))}
      {detail.completion.map((message, index) => (
        <Said key={`answer-${index}`} message={message} answer />
      ))}
    </ol>
  );
}

function Said({ message, answer }: { message: Message; answer?: boolean }) {
  return (
    <li className={css.said} data-role={answer ? "assistant" : message.role} data-testid="message">
      <div className={css.who}>
        <span>{message.role}</span>
        {answer && <span className="chip">answer</span>}
        <Copy value={message.content} label="message" />
      </div>
      <Long text={message.content} mono={looksLikeJson(message.content)} />
    </li>
  );
}

function looksLikeJson(text: string): boolean {
  return /^\s*[[{]/.test(text);
}
