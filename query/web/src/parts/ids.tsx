import { Link } from "react-router";
import { useHref } from "~/state/url";
import { Copy } from "./copy";

interface Props {
  label: string;
  value: string;
  /** Where all of this id is to be seen. */
  to?: { path: string; param: string };
}

/** An id with its name, to be copied, and a way to everything else that has it. */
export function Id({ label, value, to }: Props) {
  const href = useHref();
  return (
    <span className="line" style={{ gap: 3, flexWrap: "nowrap", maxWidth: "100%" }}>
      <span className="soft">
        {to ? <Link to={href(to.path, { [to.param]: value })}>{label}</Link> : label}
      </span>
      <Copy value={value} label={label} shown={value} />
    </span>
  );
}
