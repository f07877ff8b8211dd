import { Tabs } from "@base-ui/react/tabs";
import { CircleAlert, CornerLeftUp } from "lucide-react";
import { useParams } from "react-router";
import { useAnswer } from "~/api/queries";
import type { SpanComparison, SpanDetail } from "~/api/types";
import { Id } from "~/parts/ids";
import { Answer, SkeletonRows } from "~/parts/states";
import { Values } from "~/parts/values";
import { clock, count, dollars, duration, percent } from "~/state/format";
import { useUrl } from "~/state/url";
import { hueOf } from "~/timeline/colors";
import { isFailed, type Model, type SpanEntry } from "~/timeline/model";
import { Conversation } from "./conversation";
import css from "./detail.module.css";
import { MarkList } from "./mark-detail";

interface Props {
  model: Model;
  entry: SpanEntry;
  compared: SpanComparison | null;
  onShow: (key: string) => void;
}

export function SpanPanel({ model, entry, compared, onShow }: Props) {
  const { traceId = "" } = useParams();
  const { node } = entry;
  const url = useUrl();
  const found = useAnswer<SpanDetail>(`/traces/${traceId}/spans/${node.span_id}`, {}, { still: true });
  const current = found.isPlaceholderData ? { ...found, data: undefined } : found;
  const logs = entry.marks.filter((mark) => mark.kind === "log");
  const events = entry.marks.filter((mark) => mark.kind === "event");
  const first = node.has_messages ? "conversation" : "attributes";
  const tabs = [
    { value: "conversation", label: "Conversation", shown: node.has_messages },
    { value: "attributes", label: "Attributes", shown: true },
    { value: "logs", label: `Logs ${logs.length}`, shown: logs.length > 0 },
    { value: "events", label: `Events ${events.length}`, shown: events.length > 0 },
    { value: "resource", label: "Resource", shown: true },
  ].filter((tab) => tab.shown);
  const wanted = url.get("tab");
  const tab = tabs.some((one) => one.value === wanted) ? wanted : first;
  return (
    <>
      <SpanHead model={model} entry={entry} compared={compared} onShow={onShow} />
      <Tabs.Root
        value={tab}
        onValueChange={(value: string) => url.set({ tab: value === first ? null : value }, true)}
      >
        <Tabs.List className={css.tabs}>
          {tabs.map(({ value, label }) => (
            <Tabs.Tab key={value} value={value} className={css.tab}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="conversation" className={css.panel}>
          <Answer of={current} loading={<SkeletonRows rows={4} />}>
            {(detail) => <Conversation detail={detail} />}
          </Answer>
        </Tabs.Panel>
        <Tabs.Panel value="attributes" className={css.panel}>
          <Answer of={current} loading={<SkeletonRows rows={4} />}>
            {({ span }) => (
              <>
                <Values of={span.attributes} none="The span has no attributes." />
                {span.links.length > 0 && <Values of={{ links: span.links }} none="" />}
              </>
            )}
          </Answer>
        </Tabs.Panel>
        <Tabs.Panel value="logs" className={css.panel}>
          <MarkList marks={logs} onShow={onShow} />
        </Tabs.Panel>
        <Tabs.Panel value="events" className={css.panel}>
          {events.map((mark) => (
            <section key={mark.key} className={css.event}>
              <h3 className={mark.level === "error" ? "bad" : undefined}>
                {mark.event?.name} <span className="soft">{mark.event && clock(mark.event.timestamp)}</span>
              </h3>
              <Values of={mark.event?.attributes ?? {}} none="It has no attributes." />
            </section>
          ))}
        </Tabs.Panel>
        <Tabs.Panel value="resource" className={css.panel}>
          <Answer of={current} loading={<SkeletonRows rows={4} />}>
            {({ span }) => (
              <>
                <Values of={span.resource} none="What sent the span says nothing of itself." />
                {span.scope_name && (
                  <p className={`soft ${css.scope}`}>
                    Scope {span.scope_name} {span.scope_version}
                  </p>
                )}
              </>
            )}
          </Answer>
        </Tabs.Panel>
      </Tabs.Root>
    </>
  );
}

function SpanHead({ model, entry, compared, onShow }: Props) {
  const { node, parent } = entry;
  const share = model.trace.duration_ms ? node.critical_ms / model.trace.duration_ms : 0;
  const baseline = compared?.baseline;
  return (
    <header className={css.head}>
      <h2 className={css.name}>
        <span className={css.swatch} style={{ background: hueOf(model.services, node.service_name) }} />
        {node.name}
      </h2>
      <div className="line">
        <span className="soft">{node.service_name}</span>
        {isFailed(node) && (
          <span className="chip" data-tone="bad">
            failed
          </span>
        )}
        <span className="chip">{node.kind.toLowerCase()}</span>
        {node.layer && <span className="chip">{node.layer}</span>}
        {node.model && (
          <span className="chip" data-tone="accent">
            {node.model}
          </span>
        )}
        {parent && (
          <button
            type="button"
            className="button"
            data-small
            data-plain
            onClick={() => onShow(parent.node.span_id)}
          >
            <CornerLeftUp size={13} aria-hidden="true" />
            {parent.node.name}
          </button>
        )}
      </div>
      {node.status_message && (
        <p className={css.failure}>
          <CircleAlert size={14} aria-hidden="true" />
          {node.status_message}
        </p>
      )}
      {node.orphaned && (
        <p className={css.note}>
          Its parent <code>{node.parent_span_id}</code> is not stored.
        </p>
      )}
      {node.clock_skew_ms !== 0 && (
        <p className={css.note}>
          The clock of {node.service_name ?? "its service"} is {duration(node.clock_skew_ms)} behind that of
          its caller; the span is shown where it must have been.
        </p>
      )}
      <dl className={css.facts}>
        <Fact label="Took">{duration(node.duration_ms)}</Fact>
        <Fact label="Itself" title="the part in which nothing below it ran">
          {duration(node.self_time_ms)}
        </Fact>
        <Fact label="Critical" title="its part of the critical path">
          {node.critical_ms ? `${duration(node.critical_ms)} (${percent(share)})` : "–"}
        </Fact>
        <Fact label="Begins at">{duration(node.offset_ms)}</Fact>
        {node.tokens && (
          <Fact label="Tokens" title="in + out">
            {count(node.tokens.input)} + {count(node.tokens.output)}
          </Fact>
        )}
        {node.cost && (
          <Fact
            label="Cost"
            title={node.cost.is_computed ? `by list prices of ${node.cost.table_date ?? ""}` : "as told"}
          >
            {dollars(node.cost.usd)}
          </Fact>
        )}
        {baseline && (
          <Fact label="Usually" title={`of ${count(baseline.count)} on the day before`}>
            {duration(baseline.p50_ms)}, p95 {duration(baseline.p95_ms)}
          </Fact>
        )}
      </dl>
      <Id label="Span" value={node.span_id} />
    </header>
  );
}

function Fact({ label, title, children }: { label: string; title?: string; children: React.ReactNode }) {
  return (
    <div title={title}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
