import { Search } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { get } from "~/api/client";
import type { LogPage } from "~/api/types";
import { hrefNow } from "~/state/url";
import css from "./jump.module.css";

const TRACE_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
const FAR_BACK = "30d";

/** Go straight to a trace by its id or that of its request; other words are looked for in the logs. */
export function Jump() {
  const navigate = useNavigate();
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault();
    const text = field.current?.value.trim();
    if (!text || busy) {
      return;
    }
    setBusy(true);
    const trace =
      (await traceOf(text)) ?? (TRACE_ID.test(text) ? text.toLowerCase().replaceAll("-", "") : null);
    setBusy(false);
    navigate(trace ? hrefNow(`/trace/${trace}`) : hrefNow("/logs", { search: text }));
    field.current?.blur();
  };
  return (
    <search className={css.jump}>
      <form onSubmit={onSubmit}>
        <Search size={14} aria-hidden="true" />
        <input
          ref={field}
          id="jump"
          type="search"
          aria-label="Go to a trace or request id, or search logs"
          placeholder="Trace id, request id or words"
          autoComplete="off"
          spellCheck={false}
        />
        <kbd>/</kbd>
      </form>
    </search>
  );
}

/** Ids of requests may look like those of traces. */
async function traceOf(request: string): Promise<string | null> {
  if (/\s/.test(request)) {
    return null;
  }
  try {
    const page = await get<LogPage>("/logs", { request, since: FAR_BACK, limit: 1 });
    return page.items[0]?.trace_id ?? null;
  } catch {
    return null;
  }
}
