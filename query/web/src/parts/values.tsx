import { Fragment, type ReactNode } from "react";
import { link, text } from "~/state/format";
import { Copy } from "./copy";
import { Long } from "./long";
import css from "./values.module.css";

interface Props {
  of: Record<string, unknown>;
  none: string;
}

/** Names and values as they are stored: text, a link only where the value is a web address. */
export function Values({ of, none }: Props) {
  const names = Object.keys(of).sort();
  if (!names.length) {
    return none ? <p className="soft">{none}</p> : null;
  }
  return (
    <dl className={css.values}>
      {names.map((name) => (
        <div key={name} className={css.pair}>
          <dt>{breakable(name)}</dt>
          <dd>
            <Value value={of[name]} />
          </dd>
          <Copy value={text(of[name])} label={name} />
        </div>
      ))}
    </dl>
  );
}

/** A dotted name that may break after its dots and underscores. */
function breakable(name: string): ReactNode {
  return name.split(/(?<=[._])/).map((part, index) => (
    <Fragment key={index}>
      {part}
      <wbr />
    </Fragment>
  ));
}

function Value({ value }: { value: unknown }) {
  const address = link(value);
  if (address) {
    return (
      <a href={address} target="_blank" rel="noopener noreferrer" className={css.address}>
        {address}
      </a>
    );
  }
  return <Long text={text(value)} mono={typeof value !== "string"} />;
}
