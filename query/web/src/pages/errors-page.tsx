import { useMemo } from "react";
import { Link, useNavigate } from "react-router";
import { useAnswer, usePages } from "~/api/queries";
import type { ErrorGroup, ErrorGroups, ErrorRow } from "~/api/types";
import { useServices } from "~/parts/catalogue";
import { Filters, TextFilter } from "~/parts/filters";
import { List } from "~/parts/list";
import { Page, VerdictLine } from "~/parts/page";
import { Segments } from "~/parts/segments";
import { Answer, Empty, Failure, SkeletonRows } from "~/parts/states";
import { clock, count, day, moment, percent, plural, shortId } from "~/state/format";
import { useHref, useRange, useUrl } from "~/state/url";
import css from "./errors.module.css";

const VIEWS = [
  { value: "", label: "By cause" },
  { value: "list", label: "One by one" },
];

/** What went wrong, and why. */
export function ErrorsPage() {
  const url = useUrl();
  const list = url.get("view") === "list";
  return (
    <Page title="Errors" full={list} actions={<Segments name="view" choices={VIEWS} />}>
      <ErrorFilters />
      {list ? <OneByOne /> : <ByCause />}
    </Page>
  );
}

function ErrorFilters() {
  const services = useServices();
  return (
    <Filters names={["service", "user", "tenant"]}>
      <TextFilter name="service" label="Service" suggestions={services} />
      <TextFilter name="user" label="User" />
      <TextFilter name="tenant" label="Tenant" />
    </Filters>
  );
}

function useQuery() {
  const url = useUrl();
  const [service, user, tenant] = [url.get("service"), url.get("user"), url.get("tenant")];
  return useMemo(() => ({ service, user, tenant }), [service, user, tenant]);
}

function ByCause() {
  const query = useQuery();
  const found = useAnswer<ErrorGroups>("/errors/groups", query, { range: useRange("24h") });
  return (
    <Answer of={found}>
      {(answer) => (
        <>
          <VerdictLine tone={answer.errors ? "bad" : "good"}>{answer.verdict}</VerdictLine>
          {answer.groups.length === 0 ? (
            <div className="card">
              <Empty title="No errors in this time" />
            </div>
          ) : (
            <ul className="stack">
              {answer.groups.map((group) => (
                <Cause key={group.fingerprint} group={group} all={answer.errors} />
              ))}
            </ul>
          )}
          {answer.truncated && <p className="soft">There are more causes than these.</p>}
        </>
      )}
    </Answer>
  );
}

const TRENDS: Record<ErrorGroup["trend"], string | undefined> = {
  new: "bad",
  rising: "bad",
  steady: undefined,
  falling: "good",
};

function Cause({ group, all }: { group: ErrorGroup; all: number }) {
  const href = useHref();
  return (
    <li className={`card ${css.cause}`} data-testid="error-group">
      <div className={css.count}>
        <b>{count(group.count)}</b>
        <span
          className="chip"
          data-tone={TRENDS[group.trend]}
          title={`${count(group.before)} in the same time before`}
        >
          {group.trend}
        </span>
        <span className={css.share} title={`${percent(group.count / Math.max(all, 1))} of all`}>
          <span style={{ width: `${Math.max(2, (group.count / Math.max(all, 1)) * 100)}%` }} />
        </span>
      </div>
      <div className={css.body}>
        <h2 className={css.error}>{group.error}</h2>
        <p className="soft">
          {group.origin && <>begins in {group.origin} · </>}
          {plural(group.requests, "request")} of {plural(group.users, "user")} ·{" "}
          {Object.entries(group.services)
            .map(([name, times]) => `${name} ${count(times)}`)
            .join(", ")}
        </p>
        <p className="soft">
          first {moment(group.first_seen)}
          {group.rising_since && <> · rising since {moment(group.rising_since)}</>} · last{" "}
          {moment(group.last_seen)}
        </p>
        {group.common.length > 0 && (
          <ul className={css.common} aria-label="More frequent among these errors than among all requests">
            {group.common.map((share) => (
              <li key={`${share.attribute}=${share.value}`} className={css.fact}>
                <Link to={href("/search", { where: `${share.attribute}=${share.value}`, status: "error" })}>
                  {share.attribute}={share.value}
                </Link>
                <span className="soft">
                  {percent(share.among_errors)} of them, {percent(share.among_all)} of all
                </span>
              </li>
            ))}
          </ul>
        )}
        <p className="line">
          <span className="soft">Traces</span>
          {group.trace_ids.slice(0, 5).map((id) => (
            <Link key={id} className="mono" to={href(`/trace/${id}`)} data-testid="group-trace">
              {shortId(id)}
            </Link>
          ))}
          <Link to={href("/changes", { at: group.rising_since ?? group.first_seen })}>What changed then</Link>
        </p>
      </div>
    </li>
  );
}

function OneByOne() {
  const query = useQuery();
  const href = useHref();
  const navigate = useNavigate();
  const found = usePages<ErrorRow>("/errors", { ...query, limit: 100 }, useRange("24h"));
  const items = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  if (found.error && !found.data) {
    return <Failure error={found.error} onRetry={() => found.refetch()} />;
  }
  if (!found.data) {
    return (
      <div className="card">
        <SkeletonRows rows={12} />
      </div>
    );
  }
  if (!items.length) {
    return (
      <div className="card">
        <Empty title="No errors in this time" />
      </div>
    );
  }
  const to = (row: ErrorRow) => (row.trace_id ? href(`/trace/${row.trace_id}`, { span: row.span_id }) : null);
  return (
    <List
      label="Errors"
      items={items}
      keyOf={(row, index) => `${row.timestamp} ${row.span_id} ${index}`}
      height={52}
      row={(row) => <OneError row={row} to={to(row)} />}
      onOpen={(row) => {
        const target = to(row);
        if (target) {
          navigate(target);
        }
      }}
      onEnd={() => {
        if (found.hasNextPage && !found.isFetchingNextPage) {
          void found.fetchNextPage();
        }
      }}
    />
  );
}

function OneError({ row, to }: { row: ErrorRow; to: string | null }) {
  return (
    <div className={css.row} role="presentation" data-testid="error-row">
      <time role="cell" dateTime={row.timestamp} title={row.timestamp}>
        <span className="soft">{day(row.timestamp)}</span> {clock(row.timestamp)}
      </time>
      <span role="cell" className="ellipsis soft">
        {row.service_name ?? "–"}
      </span>
      <span role="cell" className={css.what}>
        <span className="bad">{row.error ?? row.message}</span>
        <span className="soft">
          {row.kind === "span" ? "span " : ""}
          {row.source}
          {row.error && row.message ? ` · ${row.message}` : ""}
          {[row.root_name, row.http_status].some(Boolean) &&
            ` · ${[row.root_name, row.http_status].filter(Boolean).join(" → ")}`}
        </span>
      </span>
      <span role="cell" className="ellipsis" title={row.user_id ?? undefined}>
        {row.user_id ?? <span className="soft">–</span>}
      </span>
      <span role="cell">
        {to && (
          <Link to={to} className="mono">
            {shortId(row.trace_id ?? "")}
          </Link>
        )}
      </span>
    </div>
  );
}
