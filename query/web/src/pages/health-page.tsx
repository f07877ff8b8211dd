import { CircleMinus } from "lucide-react";
import { Link } from "react-router";
import { useAnswer } from "~/api/queries";
import type { Health, Part, ServiceHealth } from "~/api/types";
import { STATES } from "~/parts/health-state";
import { Page, VerdictLine } from "~/parts/page";
import { Answer, Empty } from "~/parts/states";
import { ago, count, duration, moment, percent } from "~/state/format";
import { useHref } from "~/state/url";
import css from "./health.module.css";

/** Is the system healthy. */
export function HealthPage() {
  const found = useAnswer<Health>("/health");
  return (
    <Page title="Health" about={found.data && `as of ${moment(found.data.checked_at)}`}>
      <Answer of={found}>
        {(health) => (
          <>
            <VerdictLine tone={STATES[health.state].tone}>{health.verdict}</VerdictLine>
            <ul className={css.parts}>
              {health.parts.map((part) => (
                <OnePart key={part.name} part={part} />
              ))}
            </ul>
            <Services health={health} />
          </>
        )}
      </Answer>
    </Page>
  );
}

const OFF = { icon: CircleMinus, tone: "soft" };

function OnePart({ part }: { part: Part }) {
  const off = part.detail.startsWith("switched off");
  const { icon: Icon, tone } = off ? OFF : STATES[part.state];
  return (
    <li className={`card ${css.part}`} data-tone={tone}>
      <Icon size={18} className={tone} role="img" aria-label={off ? "off" : part.state} />
      <div>
        <h2>{part.name}</h2>
        <p className="soft">{part.detail}</p>
      </div>
    </li>
  );
}

function Services({ health }: { health: Health }) {
  if (!health.services.length) {
    return (
      <div className="card">
        <Empty title="No service sent anything in the last day" />
      </div>
    );
  }
  return (
    <section className="card">
      <div className="card-head">
        <h2>Services</h2>
        <span className="soft">the last 15 minutes against the day before</span>
      </div>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">State</th>
              <th scope="col" className="num">
                Requests
              </th>
              <th scope="col" className="num">
                Errors
              </th>
              <th scope="col" className="num">
                Usually
              </th>
              <th scope="col" className="num">
                p95
              </th>
              <th scope="col" className="num">
                Usually
              </th>
              <th scope="col" className="num">
                Last seen
              </th>
            </tr>
          </thead>
          <tbody>
            {health.services.map((service) => (
              <Service key={service.service} service={service} now={Date.parse(health.checked_at)} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Service({ service, now }: { service: ServiceHealth; now: number }) {
  const href = useHref();
  const { icon: Icon, tone } = STATES[service.state];
  return (
    <tr>
      <th scope="row">
        <Link to={href("/", { service: service.service })}>{service.service}</Link>
      </th>
      <td className={css.state}>
        <span className={css.word}>
          <Icon size={15} className={tone} aria-hidden="true" />
          {service.state}
        </span>
        {service.reason && <span className="soft">{service.reason}</span>}
      </td>
      <td className="num">{count(service.requests)}</td>
      <td className={service.error_rate > 0 ? "num bad" : "num"}>{percent(service.error_rate)}</td>
      <td className="num soft">{percent(service.usual_error_rate)}</td>
      <td className="num">{duration(service.p95_ms)}</td>
      <td className="num soft">{duration(service.usual_p95_ms)}</td>
      <td className="num soft" title={service.last_seen}>
        {ago(service.last_seen, now)}
      </td>
    </tr>
  );
}
