import { ChevronRight, CircleAlert, Diamond, MessageSquareText } from "lucide-react";
import { memo } from "react";
import type { Spent } from "~/api/types";
import { compact, count, dollars, duration } from "~/state/format";
import { hueOf } from "./colors";
import {
  type Extent,
  isFailed,
  isShown,
  type LogsShown,
  type MarkRowModel,
  place,
  type SpanEntry,
  type SpanRowModel,
} from "./model";
import css from "./timeline.module.css";

interface Shared {
  id: string;
  top: number;
  height: number;
  selected: boolean;
  matched: boolean;
  dimmed: boolean;
  narrow: boolean;
  view: Extent;
  services: readonly string[];
  onOpen: (key: string) => void;
}

const INDENT = 14;
const DEEPEST = 16;

function indent(depth: number, narrow: boolean): number {
  return Math.min(depth, narrow ? 8 : DEEPEST) * (narrow ? 9 : INDENT);
}

function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

interface SpanProps extends Shared {
  row: SpanRowModel;
  logs: LogsShown;
  onToggle: (key: string) => void;
}

export const SpanRow = memo(function SpanRow({ row, logs, onToggle, ...shared }: SpanProps) {
  const { node } = row.entry;
  const failed = isFailed(node);
  const hue = hueOf(shared.services, node.service_name);
  const inset = indent(row.depth, shared.narrow);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: keys are the tree's
    <div
      id={shared.id}
      role="treeitem"
      aria-level={row.depth + 1}
      aria-expanded={row.expandable ? row.expanded : undefined}
      aria-selected={shared.selected}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      className={classes(css.row, shared.selected && css.selected, shared.dimmed && css.dimmed)}
      style={{ top: shared.top, height: shared.height, ["--hue" as string]: hue }}
      onClick={() => shared.onOpen(row.key)}
      data-span={row.key}
      data-testid="span-row"
    >
      <div className={css.cell} style={{ paddingInlineStart: inset, ["--inset" as string]: `${inset}px` }}>
        {row.expandable ? (
          <button
            type="button"
            tabIndex={-1}
            className={classes(css.chevron, row.expanded && css.open)}
            aria-label={row.expanded ? "Collapse" : "Expand"}
            onClick={(event) => {
              event.stopPropagation();
              onToggle(row.key);
            }}
          >
            <ChevronRight size={14} aria-hidden="true" />
          </button>
        ) : (
          <span className={css.chevron} />
        )}
        <span className={css.swatch} />
        <span
          className={classes(css.name, row.entry.origin && css.bad, shared.matched && css.match)}
          title={titleOf(row.entry)}
        >
          {node.name}
        </span>
        {failed && <CircleAlert className={css.alert} size={14} role="img" aria-label="failed" />}
        {!failed && row.entry.failedBelow && !row.expanded && (
          <CircleAlert className={css.below} size={14} role="img" aria-label="something below failed" />
        )}
        {node.has_messages && (
          <MessageSquareText className={css.said} size={13} role="img" aria-label="conversation" />
        )}
        <span className={css.service}>{node.service_name}</span>
        <Spending tokens={node.tokens?.total ?? null} cost={node.cost} />
        {shared.narrow && <span className={css.took}>{duration(node.duration_ms)}</span>}
      </div>
      <div className={css.track}>
        <Bar entry={row.entry} view={shared.view} failed={failed} />
        <Marks entry={row.entry} view={shared.view} shown={row.expanded ? logs : "none"} />
        {!shared.narrow && <Length entry={row.entry} view={shared.view} />}
      </div>
    </div>
  );
});

function titleOf({ node }: SpanEntry): string {
  const lines = [
    node.name,
    node.service_name,
    node.layer && `layer ${node.layer}`,
    node.model,
    node.status_message,
  ];
  return lines.filter(Boolean).join("\n");
}

function Spending({ tokens, cost }: { tokens: number | null; cost: Spent | null }) {
  if (!tokens && !cost) {
    return null;
  }
  return (
    <span className={css.spending}>
      {tokens ? <span title={`${count(tokens)} tokens`}>{compact(tokens)} tok</span> : null}
      {cost ? (
        <span
          title={cost.is_computed ? `by list prices of ${cost.table_date ?? "now"}` : "as the service says"}
        >
          {dollars(cost.usd)}
        </span>
      ) : null}
    </span>
  );
}

/** A bar, below it the stretches of the critical path. */
function Bar({ entry, view, failed }: { entry: SpanEntry; view: Extent; failed: boolean }) {
  const { node } = entry;
  const bar = place(node.offset_ms, node.duration_ms ?? 0, view);
  if (!bar) {
    return null;
  }
  return (
    <>
      <div
        className={classes(
          css.bar,
          failed && (entry.origin ? css.failed : css.affected),
          node.duration_ms === null && css.unfinished,
        )}
        style={{ left: `${bar.left}%`, width: `${bar.width}%` }}
      />
      {entry.steps.map((step) => {
        const stretch = place(step.offset_ms, step.duration_ms, view);
        return (
          stretch && (
            <div
              key={step.offset_ms}
              className={css.critical}
              style={{ left: `${stretch.left}%`, width: `${stretch.width}%` }}
              title={`critical path: ${duration(step.duration_ms)}`}
            />
          )
        );
      })}
    </>
  );
}

const LATE = 85;
const WIDE = 40;

/** How long it took: after the bar, or in it, or before it where there is no room. */
function Length({ entry, view }: { entry: SpanEntry; view: Extent }) {
  const { node } = entry;
  const bar = place(node.offset_ms, node.duration_ms ?? 0, view);
  if (!bar) {
    return null;
  }
  const end = bar.left + bar.width;
  const inside = end > LATE && bar.width > WIDE;
  const style =
    end <= LATE ? { left: `${end}%` } : inside ? { right: `${100 - end}%` } : { right: `${100 - bar.left}%` };
  return (
    <span
      className={classes(css.length, inside && css.inside, inside && entry.origin && css.onFailed)}
      style={style}
    >
      {duration(node.duration_ms)}
    </span>
  );
}

/** Logs and events as marks on the bar, those that have no row of their own. */
function Marks({ entry, view, shown }: { entry: SpanEntry; view: Extent; shown: LogsShown }) {
  const marks = entry.marks.filter((mark) => !isShown(mark, shown));
  return marks.slice(0, 40).map((mark) => {
    const at = place(mark.offset, 0, view);
    return (
      at && (
        <span
          key={mark.key}
          className={css.mark}
          data-level={mark.level}
          data-kind={mark.kind}
          style={{ left: `${at.left}%` }}
          title={`${duration(mark.offset)} ${mark.text}`}
        />
      )
    );
  });
}

interface MarkProps extends Shared {
  row: MarkRowModel;
}

export const MarkRow = memo(function MarkRow({ row, ...shared }: MarkProps) {
  const { mark } = row;
  const at = place(mark.offset, 0, shared.view);
  const service = mark.log?.service_name ?? null;
  const late = (at?.left ?? 0) > 52;
  const inset = indent(row.depth, shared.narrow);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: keys are the tree's
    <div
      id={shared.id}
      role="treeitem"
      aria-level={row.depth + 1}
      aria-selected={shared.selected}
      className={classes(css.row, css.markRow, shared.selected && css.selected, shared.dimmed && css.dimmed)}
      style={{ top: shared.top, height: shared.height, ["--hue" as string]: hueOf(shared.services, service) }}
      data-level={mark.level}
      data-testid={mark.kind === "log" ? "log-row" : "event-row"}
      onClick={() => shared.onOpen(row.key)}
    >
      <div className={css.cell} style={{ paddingInlineStart: inset, ["--inset" as string]: `${inset}px` }}>
        <span className={css.chevron} />
        {mark.kind === "event" ? (
          <Diamond className={css.diamond} size={9} aria-hidden="true" />
        ) : (
          <span className={css.dot} data-level={mark.level} />
        )}
        <span className={css.level} data-level={mark.level}>
          {mark.kind === "event" ? "event" : (mark.log?.level ?? "log").toLowerCase()}
        </span>
        {shared.narrow ? (
          <span className={classes(css.message, shared.matched && css.match)}>{mark.text}</span>
        ) : (
          <span className={css.logger}>{mark.log?.logger ?? ""}</span>
        )}
        {!shared.narrow && mark.elsewhere && <span className={css.service}>{mark.elsewhere}</span>}
      </div>
      <div className={css.track}>
        {at && (
          <>
            <span className={css.stem} data-level={mark.level} style={{ left: `${at.left}%` }} />
            {!shared.narrow && (
              <span
                className={classes(css.message, late && css.late, shared.matched && css.match)}
                style={late ? { right: `${100 - at.left}%` } : { left: `${at.left}%` }}
                title={mark.text}
              >
                {mark.text}
              </span>
            )}
          </>
        )}
      </div>
    </div>
  );
});
