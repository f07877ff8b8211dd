import { CircleAlert } from "lucide-react";
import { useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { usePages } from "~/api/queries";
import type { TraceSummary } from "~/api/types";
import { LAYERS, useAttributes, useOperations, useServices } from "~/parts/catalogue";
import { ChoiceFilter, Filters, TextFilter, WhereFilter } from "~/parts/filters";
import { List } from "~/parts/list";
import { Page } from "~/parts/page";
import { Empty, Failure, SkeletonRows } from "~/parts/states";
import { clock, compact, count, day, dollars, duration, plural } from "~/state/format";
import { useHref, useRange, useUrl } from "~/state/url";
import { hueOf } from "~/timeline/colors";
import css from "./search.module.css";

const NAMES = [
  "service",
  "operation",
  "layer",
  "status",
  "user",
  "tenant",
  "session",
  "min_duration",
  "max_duration",
];

/** Which requests were there. */
export function SearchPage() {
  const url = useUrl();
  const range = useRange("1h");
  const order = url.get("order") === "slowest" ? "slowest" : "newest";
  const query = useMemo(
    () => ({
      ...Object.fromEntries(NAMES.map((name) => [name, url.get(name)])),
      where: url.all("where"),
      order,
    }),
    [url, order],
  );
  const found = usePages<TraceSummary>("/traces", query, range);
  const items = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  return (
    <Page
      title="Traces"
      full
      about={
        found.data && (found.hasNextPage ? `${count(items.length)}+ traces` : plural(items.length, "trace"))
      }
      actions={<Order value={order} />}
    >
      <SearchFilters />
      {found.error && !found.data && <Failure error={found.error} onRetry={() => found.refetch()} />}
      {!found.error && !found.data && (
        <div className="card">
          <SkeletonRows rows={12} />
        </div>
      )}
      {found.data && items.length === 0 && <NoTraces />}
      {items.length > 0 && (
        <Traces
          items={items}
          onEnd={() => {
            if (found.hasNextPage && !found.isFetchingNextPage) {
              void found.fetchNextPage();
            }
          }}
          more={found.isFetchingNextPage}
        />
      )}
    </Page>
  );
}

function Order({ value }: { value: string }) {
  const url = useUrl();
  return (
    <fieldset className={css.order}>
      <legend className="sr-only">Order</legend>
      {["newest", "slowest"].map((one) => (
        <button
          key={one}
          type="button"
          className="button"
          data-small
          aria-pressed={value === one}
          onClick={() => url.set({ order: one === "newest" ? null : one })}
        >
          {one === "newest" ? "Newest" : "Slowest"}
        </button>
      ))}
    </fieldset>
  );
}

function SearchFilters() {
  const services = useServices();
  const operations = useOperations();
  const [asked, setAsked] = useState(false);
  const attributes = useAttributes(asked);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the names are asked for when somebody goes there
    <div onFocus={() => setAsked(true)}>
      <Filters names={[...NAMES, "where"]}>
        <TextFilter name="service" label="Service" suggestions={services} />
        <TextFilter name="operation" label="Operation" suggestions={operations} />
        <ChoiceFilter
          name="status"
          label="Status"
          choices={[
            ["", "any"],
            ["error", "failed"],
            ["ok", "ok"],
          ]}
        />
        <TextFilter name="min_duration" label="Took at least" placeholder="500ms" />
        <TextFilter name="max_duration" label="At most" placeholder="5s" />
        <ChoiceFilter
          name="layer"
          label="Layer"
          choices={[["", "any"], ...LAYERS.map((one) => [one, one] as const)]}
        />
        <TextFilter name="user" label="User" />
        <TextFilter name="tenant" label="Tenant" />
        <TextFilter name="session" label="Session" />
        <WhereFilter suggestions={attributes} />
      </Filters>
    </div>
  );
}

function NoTraces() {
  const url = useUrl();
  return (
    <div className="card">
      <Empty title="No traces with these filters in this time">
        <p>Take a longer time, or fewer filters.</p>
        <button type="button" className="button" onClick={() => url.set({ since: "7d", until: null })}>
          Look at the last 7 days
        </button>
      </Empty>
    </div>
  );
}

function Traces({ items, onEnd, more }: { items: TraceSummary[]; onEnd: () => void; more: boolean }) {
  const href = useHref();
  const navigate = useNavigate();
  const services = useMemo(
    () => [...new Set(items.flatMap((item) => Object.keys(item.services)))].sort(),
    [items],
  );
  const longest = Math.max(...items.map((item) => item.duration_ms), 1);
  return (
    <List
      label="Traces"
      items={items}
      keyOf={(item) => item.trace_id}
      height={54}
      head={
        <div className={`${css.row} ${css.columns}`} role="row">
          <span role="columnheader">Began</span>
          <span role="columnheader">Request</span>
          <span role="columnheader">Took</span>
          <span role="columnheader">Services</span>
          <span role="columnheader" className="num">
            Spans
          </span>
          <span role="columnheader" className="num">
            Logs
          </span>
          <span role="columnheader" className="num">
            Tokens
          </span>
          <span role="columnheader" className="num">
            Cost
          </span>
          <span role="columnheader">User</span>
        </div>
      }
      row={(item) => (
        <Trace item={item} longest={longest} services={services} to={href(`/trace/${item.trace_id}`)} />
      )}
      onOpen={(item) => navigate(href(`/trace/${item.trace_id}`))}
      onEnd={onEnd}
      foot={more && <SkeletonRows rows={2} />}
    />
  );
}

interface TraceProps {
  item: TraceSummary;
  longest: number;
  services: string[];
  to: string;
}

function Trace({ item, longest, services, to }: TraceProps) {
  const failed = item.status === "ERROR" || item.error_count > 0;
  return (
    <div className={css.row} role="presentation" data-testid="trace-row">
      <time role="cell" dateTime={item.start_time} title={item.start_time} className={css.time}>
        <span className="soft">{day(item.start_time)}</span> {clock(item.start_time)}
      </time>
      <span role="cell" className={css.what}>
        <span className={css.name}>
          {failed && <CircleAlert size={14} role="img" aria-label="failed" className="bad" />}
          <Link to={to}>{item.root_name ?? "no spans"}</Link>
          <span className="soft ellipsis">{item.root_service}</span>
        </span>
        <span
          className={failed ? `${css.error} bad` : `${css.error} soft mono`}
          title={item.first_error ?? undefined}
        >
          {failed ? (item.first_error ?? plural(item.error_count, "error")) : item.trace_id}
        </span>
      </span>
      <span role="cell" className={css.took}>
        <b>{duration(item.duration_ms)}</b>
        <span className={css.bar}>
          <span
            data-failed={failed || undefined}
            style={{ width: `${Math.max(1.5, (item.duration_ms / longest) * 100)}%` }}
          />
        </span>
      </span>
      <Services of={item.services} services={services} />
      <span role="cell" className={`num ${css.count}`} data-label="spans">
        {compact(item.span_count)}
      </span>
      <span role="cell" className={`num ${css.count}`} data-label="logs">
        {compact(item.log_count)}
      </span>
      <span role="cell" className={`num ${css.count}`} data-label="tokens">
        {item.total_tokens === null ? "–" : compact(item.total_tokens)}
      </span>
      <span
        role="cell"
        className={`num ${css.count}`}
        title={item.cost?.is_computed ? "by list prices" : undefined}
      >
        {dollars(item.cost?.usd)}
      </span>
      <span role="cell" className={`ellipsis ${css.user}`} title={item.user_id ?? undefined}>
        {item.user_id ?? <span className="soft">–</span>}
      </span>
    </div>
  );
}

function Services({ of, services }: { of: Record<string, number>; services: string[] }) {
  const names = Object.entries(of).sort(([, one], [, other]) => other - one);
  return (
    <span
      role="cell"
      className={css.services}
      title={names.map(([name, spans]) => `${name}: ${spans}`).join("\n")}
    >
      {names.slice(0, 2).map(([name]) => (
        <span key={name}>
          <i style={{ background: hueOf(services, name) }} />
          {name}
        </span>
      ))}
      {names.length > 2 && <span>+{names.length - 2}</span>}
    </span>
  );
}
