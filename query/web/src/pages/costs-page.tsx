import { Link } from "react-router";
import { useAnswer } from "~/api/queries";
import type { CostBy, CostGroup, Costs } from "~/api/types";
import { Page } from "~/parts/page";
import { Segments } from "~/parts/segments";
import { Answer, Empty } from "~/parts/states";
import { compact, count, dollars, moment, percent, plural, shortId } from "~/state/format";
import { describe } from "~/state/time";
import { useHref, useRange, useUrl } from "~/state/url";
import css from "./costs.module.css";

const BY = [
  { value: "", label: "Model" },
  { value: "user", label: "User" },
  { value: "tenant", label: "Tenant" },
  { value: "layer", label: "Layer" },
  { value: "service", label: "Service" },
  { value: "trace", label: "Trace" },
];

/** What did it cost. */
export function CostsPage() {
  const url = useUrl();
  const trace = url.get("trace");
  const range = useRange("24h");
  // Without a time asked for, that of the trace.
  const whole = trace !== "" && !url.get("since") && !url.get("until");
  const by = (url.get("by") || "model") as CostBy;
  const found = useAnswer<Costs>("/costs", { by, trace }, whole ? {} : { range });
  return (
    <Page
      title="Costs"
      about={whole ? `Trace ${shortId(trace)}` : describe(range, new Date())}
      actions={<Segments name="by" label="By" choices={BY} />}
    >
      <Answer of={found}>{(costs) => <Loaded costs={costs} />}</Answer>
    </Page>
  );
}

function Loaded({ costs }: { costs: Costs }) {
  if (!costs.groups.length) {
    return (
      <div className="card">
        <Empty title="No model was called in this time" />
      </div>
    );
  }
  const unpriced = costs.groups.reduce((sum, group) => sum + group.unpriced, 0);
  return (
    <>
      <dl className={css.sums}>
        <div className="card">
          <dt>Cost</dt>
          <dd>{dollars(costs.usd)}</dd>
          {costs.is_computed && <dd className={css.note}>partly by list prices</dd>}
        </div>
        <div className="card">
          <dt>Tokens</dt>
          <dd>{compact(costs.tokens)}</dd>
          {unpriced > 0 && <dd className={css.note}>{plural(unpriced, "call")} without a known price</dd>}
        </div>
        <div className="card">
          <dt>A thousand tokens</dt>
          <dd>{costs.tokens ? dollars((costs.usd / costs.tokens) * 1000) : "–"}</dd>
        </div>
      </dl>
      <section className="card">
        <div className="scroll-x">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{BY.find((one) => (one.value || "model") === costs.by)?.label}</th>
                <th scope="col" className={css.share}>
                  Share
                </th>
                <th scope="col" className="num">
                  Cost
                </th>
                <th scope="col" className="num">
                  Tokens
                </th>
                <th scope="col" className="num">
                  Calls
                </th>
                <th scope="col" className="num">
                  Requests
                </th>
                <th scope="col" className="num">
                  Cost a request
                </th>
                <th scope="col" className="num">
                  Last
                </th>
              </tr>
            </thead>
            <tbody>
              {costs.groups.map((group) => (
                <Group key={group.name ?? ""} group={group} costs={costs} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
      {costs.truncated && (
        <p className="soft">There are more calls than were added up: these are the newest.</p>
      )}
      {costs.others > 0 && <p className="soft">{plural(costs.others, "more")} that cost less.</p>}
    </>
  );
}

function Group({ group, costs }: { group: CostGroup; costs: Costs }) {
  const share = costs.usd ? group.usd / costs.usd : 0;
  return (
    <tr>
      <th scope="row" className={css.name}>
        <Name by={costs.by} name={group.name} />
      </th>
      <td className={css.share}>
        <span className={css.bar} title={percent(share)}>
          <span style={{ width: `${Math.max(0.5, share * 100)}%` }} />
        </span>
      </td>
      <td className="num" title={group.is_computed ? "partly by list prices" : "as the services say"}>
        <b>{dollars(group.usd)}</b>
      </td>
      <td className="num">{compact(group.tokens)}</td>
      <td className="num">{count(group.calls)}</td>
      <td className="num">{count(group.requests)}</td>
      <td className="num">{group.requests ? dollars(group.usd / group.requests) : "–"}</td>
      <td className="num soft">{moment(group.last_seen)}</td>
    </tr>
  );
}

function Name({ by, name }: { by: CostBy; name: string | null }) {
  const href = useHref();
  if (name === null) {
    return <span className="soft">not said</span>;
  }
  if (by === "trace") {
    return (
      <Link className="mono" to={href(`/trace/${name}`)} title={name}>
        {shortId(name)}
      </Link>
    );
  }
  return by === "model" ? name : <Link to={href("/search", { [by]: name })}>{name}</Link>;
}
