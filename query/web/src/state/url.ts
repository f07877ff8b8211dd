/** What is asked lives in the address, so that a link shows the same to whoever follows it. */

import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import { type Range, resolve } from "./time";

export type Change = Record<string, string | readonly string[] | null | undefined>;

export interface Url {
  get: (name: string) => string;
  all: (name: string) => string[];
  set: (change: Change, replace?: boolean) => void;
  /** The query string of this page with some of it changed. */
  with: (change: Change) => string;
  text: string;
}

/** What goes along from page to page. */
export const CARRIED = ["since", "until", "refresh"] as const;

export function changed(params: URLSearchParams, change: Change): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(change)) {
    next.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one) {
        next.append(name, one);
      }
    }
  }
  return next;
}

export function useUrl(): Url {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (change: Change, replace = false) => setParams(changed(asked(), change), { replace }),
    [setParams],
  );
  return useMemo(
    () => ({
      get: (name) => params.get(name) ?? "",
      all: (name) => params.getAll(name),
      set,
      with: (change) => queryText(changed(params, change)),
      text: params.toString(),
    }),
    [params, set],
  );
}

function queryText(params: URLSearchParams): string {
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** What the address asks at this moment. What was rendered last may be older: drawing a page takes its time. */
function asked(): URLSearchParams {
  return new URLSearchParams(window.location.search);
}

function keeping(params: URLSearchParams, path: string, change: Change): string {
  const kept = new URLSearchParams();
  for (const name of CARRIED) {
    const value = params.get(name);
    if (value) {
      kept.set(name, value);
    }
  }
  return path + queryText(changed(kept, change));
}

/** Return a function that makes addresses of other pages, which keep the time range: for links. */
export function useHref(): (path: string, change?: Change) => string {
  const [params] = useSearchParams();
  return useCallback((path, change = {}) => keeping(params, path, change), [params]);
}

/** Return such an address for what a person does now: keys and clicks may come before the page is drawn anew. */
export function hrefNow(path: string, change: Change = {}): string {
  return keeping(asked(), path, change);
}

/** Return the range of the address, or that of the page where the address names none. */
export function useRange(since: string): Range {
  const [params] = useSearchParams();
  const from = params.get("since") || since;
  const to = params.get("until") || "now";
  return useMemo(() => ({ since: from, until: to }), [from, to]);
}

/** Return a range as the API gets it: moments, since the server may live in another zone. */
export function rangeQuery(range: Range): { since: string; until: string } {
  const moments = resolve(range, new Date());
  return moments ? { since: moments.since.toISOString(), until: moments.until.toISOString() } : { ...range };
}
