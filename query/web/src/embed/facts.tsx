import { X } from "lucide-react";
import { clock, count, dollars, duration, text } from "~/state/format";
import type { Mark, Model, SpanEntry } from "~/timeline/model";
import css from "./embed.module.css";

interface Props {
  model: Model;
  selected: string | null;
  onClose: () => void;
}

/** What the trace itself tells of the chosen row, without asking again. */
export function Facts({ model, selected, onClose }: Props) {
  const entry = selected ? model.byId.get(selected) : undefined;
  const mark = selected ? model.marks.find((one) => one.key === selected) : undefined;
  if (!entry && !mark) {
    return null;
  }
  const facts = entry ? factsOf(entry) : mark ? markFacts(mark) : [];
  return (
    <section className={css.facts} aria-label="Details">
      <button type="button" className={css.close} aria-label="Close details" onClick={onClose}>
        <X size={14} aria-hidden="true" />
      </button>
      <strong>{entry?.node.name ?? mark?.text}</strong>
      {entry?.node.status_message && <p className={css.failure}>{entry.node.status_message}</p>}
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {mark?.log?.stack_trace && <pre>{mark.log.stack_trace}</pre>}
    </section>
  );
}

type Fact = [string, string];

function factsOf({ node }: SpanEntry): Fact[] {
  return [
    ["service", node.service_name ?? "–"],
    ["took", duration(node.duration_ms)],
    ["itself", duration(node.self_time_ms)],
    ["critical", duration(node.critical_ms)],
    ...(node.layer ? [["layer", node.layer] satisfies Fact] : []),
    ...(node.model ? [["model", node.model] satisfies Fact] : []),
    ...(node.tokens ? [["tokens", count(node.tokens.total)] satisfies Fact] : []),
    ...(node.cost ? [["cost", dollars(node.cost.usd)] satisfies Fact] : []),
  ];
}

function markFacts({ log, event }: Mark): Fact[] {
  if (event) {
    return Object.entries(event.attributes).map(([name, value]) => [name, text(value)]);
  }
  const fields = { ...log?.metrics, ...log?.context };
  return [
    ["time", log ? clock(log.timestamp) : "–"],
    ["level", log?.level?.toLowerCase() ?? "–"],
    ["logger", log?.logger ?? "–"],
    ...Object.entries(fields).map(([name, value]) => [name, text(value)] satisfies Fact),
  ];
}
