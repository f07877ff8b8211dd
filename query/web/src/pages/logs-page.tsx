import { ChevronRight, Pause, Play, Radio, Waypoints } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link } from "react-router";
import type { Query } from "~/api/client";
import { useAnswer, usePages } from "~/api/queries";
import type { LogRow, LogVolume } from "~/api/types";
import { useAttributes, useServices } from "~/parts/catalogue";
import { Chart, type Series } from "~/parts/chart";
import { ChoiceFilter, Filters, TextFilter, WhereFilter } from "~/parts/filters";
import { List } from "~/parts/list";
import { LogFields } from "~/parts/log-fields";
import { Page } from "~/parts/page";
import { Empty, Failure, SkeletonRows } from "~/parts/states";
import { clock, compact, count, day, duration, plural, text } from "~/state/format";
import type { Range } from "~/state/time";
import { useHref, useRange, useUrl } from "~/state/url";
import { levelOf } from "~/timeline/model";
import css from "./logs.module.css";
import { type Tailing, useTail } from "./use-tail";

const NAMES = ["search", "level", "service", "logger", "user", "tenant", "session", "request", "trace"];
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/** What was logged, and what is being logged now. */
export function LogsPage() {
  const url = useUrl();
  const range = useRange("1h");
  const address = url.text;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text of the address says when it changes
  const query = useMemo(
    () => ({ ...Object.fromEntries(NAMES.map((name) => [name, url.get(name)])), where: url.all("where") }),
    [address],
  );
  const found = usePages<LogRow>("/logs", { ...query, limit: 100 }, range);
  const tailing = useTail(query, url.get("live") === "yes");
  const { refetch } = found;
  useEffect(() => {
    if (tailing.state === "live") {
      void refetch();
    }
  }, [tailing.state, refetch]);
  const stored = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  const items = useMemo(() => joined(tailing.logs, stored), [tailing.logs, stored]);
  return (
    <Page
      title="Logs"
      full
      about={found.data && (found.hasNextPage ? `${count(items.length)}+ logs` : plural(items.length, "log"))}
      actions={<Live tailing={tailing} />}
    >
      <LogFilters />
      <Volume query={query} range={range} />
      {found.error && !found.data && <Failure error={found.error} onRetry={() => found.refetch()} />}
      {!found.error && !found.data && (
        <div className="card">
          <SkeletonRows rows={14} />
        </div>
      )}
      {found.data && items.length === 0 && <NoLogs live={tailing.on} />}
      {items.length > 0 && (
        <Logs
          items={items}
          more={found.isFetchingNextPage}
          onEnd={() => {
            if (found.hasNextPage && !found.isFetchingNextPage) {
              void found.fetchNextPage();
            }
          }}
        />
      )}
    </Page>
  );
}

/** How many there are over time; a click or a drag asks for that time alone. */
function Volume({ query, range }: { query: Query; range: Range }) {
  const url = useUrl();
  const found = useAnswer<LogVolume>("/logs/volume", query, { range });
  const points = found.data?.points;
  const times = useMemo(() => points?.map((point) => point.time) ?? [], [points]);
  const series = useMemo(
    () => [
      bars(
        "logs",
        "var(--hue-0)",
        points?.map((point) => point.logs),
      ),
      bars(
        "from warning",
        "var(--warn-fill)",
        points?.map((point) => point.warnings),
      ),
      bars(
        "from error",
        "var(--bad-fill)",
        points?.map((point) => point.errors),
      ),
    ],
    [points],
  );
  if (!found.data?.logs) {
    return found.isPending ? <div className={`card ${css.volume}`} /> : null;
  }
  const { logs, errors, period, step_seconds } = found.data;
  return (
    <div className={`card ${css.volume}`}>
      <Chart
        title="Over time"
        summary={`${plural(logs, "log")}, ${count(errors)} from error on`}
        height={88}
        times={times}
        period={period}
        stepSeconds={step_seconds}
        series={series}
        format={compact}
        max={4}
        onPick={({ since, until }) =>
          url.set({ since: since.toISOString(), until: until.toISOString(), live: null })
        }
      />
    </div>
  );
}

function bars(label: string, color: string, values: number[] = []): Series {
  return { label, color, values, kind: "bars" };
}

/** New logs before stored ones, each once. */
function joined(fresh: readonly LogRow[], stored: LogRow[]): LogRow[] {
  if (!fresh.length) {
    return stored;
  }
  const seen = new Set(stored.map(keyOf));
  return [...fresh.filter((log) => !seen.has(keyOf(log))), ...stored];
}

function keyOf(log: LogRow): string {
  return `${log.timestamp} ${log.service_name} ${log.span_id} ${log.logger} ${log.message}`;
}

function Live({ tailing }: { tailing: Tailing }) {
  const url = useUrl();
  const said = {
    connecting: "connecting",
    live: tailing.paused ? `paused, ${count(tailing.waiting)} waiting` : "live",
    retrying: "connection lost, trying again",
    refused: tailing.detail ?? "refused",
  };
  return (
    <>
      {tailing.on && (
        <output className={css.state} data-state={tailing.state} data-testid="tail-state">
          {said[tailing.state]}
          {tailing.skipped && <span className="warn"> · too many to show, some are left out</span>}
        </output>
      )}
      {tailing.on && (
        <button type="button" className="button" data-small onClick={tailing.pause}>
          {tailing.paused ? <Play size={13} aria-hidden="true" /> : <Pause size={13} aria-hidden="true" />}
          {tailing.paused ? "Continue" : "Pause"}
        </button>
      )}
      <button
        type="button"
        className="button"
        data-small
        aria-pressed={tailing.on}
        onClick={() =>
          url.set({ live: tailing.on ? null : "yes", until: tailing.on ? url.get("until") : null })
        }
      >
        <Radio size={14} aria-hidden="true" className={tailing.on ? css.pulse : undefined} />
        Live tail
      </button>
    </>
  );
}

function LogFilters() {
  const services = useServices();
  const [asked, setAsked] = useState(false);
  const attributes = useAttributes(asked);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the names are asked for when somebody goes there
    <div onFocus={() => setAsked(true)}>
      <Filters names={[...NAMES, "where"]}>
        <TextFilter name="search" label="Search" placeholder='words, "a phrase", or, -not' wide hotkey />
        <ChoiceFilter
          name="level"
          label="Level"
          choices={[["", "all"], ...LEVELS.map((level) => [level, `from ${level.toLowerCase()}`] as const)]}
        />
        <TextFilter name="service" label="Service" suggestions={services} />
        <TextFilter name="logger" label="Logger" />
        <TextFilter name="user" label="User" />
        <TextFilter name="tenant" label="Tenant" />
        <TextFilter name="session" label="Session" />
        <TextFilter name="request" label="Request" />
        <TextFilter name="trace" label="Trace" />
        <WhereFilter suggestions={attributes} />
      </Filters>
    </div>
  );
}

function NoLogs({ live }: { live: boolean }) {
  const url = useUrl();
  return (
    <div className="card">
      <Empty title={live ? "Nothing yet" : "No logs with these filters in this time"}>
        {live ? (
          <p>New logs appear here within a second.</p>
        ) : (
          <button type="button" className="button" onClick={() => url.set({ since: "7d", until: null })}>
            Look at the last 7 days
          </button>
        )}
      </Empty>
    </div>
  );
}

function Logs({ items, more, onEnd }: { items: LogRow[]; more: boolean; onEnd: () => void }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set());
  const frame = useRef<HTMLDivElement>(null);
  const toggle = (key: string) =>
    setOpen((old) => {
      const now = new Set(old);
      if (!now.delete(key)) {
        now.add(key);
      }
      return now;
    });
  return (
    <List
      label="Logs"
      frame={frame}
      items={items}
      keyOf={(log, index) => `${keyOf(log)} ${items.length - index}`}
      height={33}
      head={
        <div className={`${css.row} ${css.columns}`} role="row">
          <span role="columnheader">
            <span className="sr-only">Open</span>
          </span>
          <span role="columnheader">Time</span>
          <span role="columnheader">Level</span>
          <span role="columnheader">Service</span>
          <span role="columnheader">Message</span>
          <span role="columnheader">
            <span className="sr-only">Trace</span>
          </span>
        </div>
      }
      row={(log) => <Log log={log} open={open.has(keyOf(log))} onToggle={() => toggle(keyOf(log))} />}
      onOpen={(log) => toggle(keyOf(log))}
      onEnd={onEnd}
      foot={more && <SkeletonRows rows={2} />}
    />
  );
}

const MOST_TOLD = 6;
const LONGEST_TOLD = 80;

/** The first of what the log tells besides its message. */
function Told({ log }: { log: LogRow }) {
  const { duration_ms: _, ...metrics } = log.metrics;
  const all = Object.entries({ ...log.context, ...metrics });
  return all.slice(0, MOST_TOLD).map(([name, value]) => (
    <span key={name} className={css.told}>
      <span className="soft">{name}=</span>
      {text(value).slice(0, LONGEST_TOLD)}
    </span>
  ));
}

function Log({ log, open, onToggle }: { log: LogRow; open: boolean; onToggle: () => void }) {
  const href = useHref();
  const level = levelOf(log.level);
  return (
    <div role="presentation" data-testid="log-row">
      <div className={css.row} role="presentation" data-level={level}>
        <span role="cell">
          <button
            type="button"
            className={open ? `${css.chevron} ${css.open}` : css.chevron}
            aria-expanded={open}
            aria-label={open ? "Hide fields" : "Show fields"}
            onClick={onToggle}
          >
            <ChevronRight size={14} aria-hidden="true" />
          </button>
        </span>
        <time role="cell" dateTime={log.timestamp} title={log.timestamp} className={css.time}>
          <span className="soft">{day(log.timestamp)}</span> {clock(log.timestamp)}
        </time>
        <span role="cell" className={css.level}>
          {(log.level ?? "–").toLowerCase()}
        </span>
        <span role="cell" className="ellipsis soft" title={log.logger ?? undefined}>
          {log.service_name ?? "–"}
        </span>
        <span role="cell" className={css.message}>
          {log.message}
          {log.error && log.error !== log.message && <span className={css.error}> {log.error}</span>}
          {log.duration_ms !== null && <span className={css.took}> {duration(log.duration_ms)}</span>}
          <Told log={log} />
        </span>
        <span role="cell" className="num">
          {log.trace_id && (
            <Link
              to={href(`/trace/${log.trace_id}`, { span: log.span_id })}
              className={css.trace}
              title={`Trace ${log.trace_id}`}
              aria-label="Trace"
            >
              <Waypoints size={14} aria-hidden="true" />
            </Link>
          )}
        </span>
      </div>
      {open && (
        <div className={css.fields} role="cell">
          <LogFields log={log} />
        </div>
      )}
    </div>
  );
}
