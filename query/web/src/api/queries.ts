import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { type ApiError, get, type Query } from "~/api/client";
import type { Page } from "~/api/types";
import type { Range } from "~/state/time";
import { rangeQuery } from "~/state/url";

interface Options {
  range?: Range;
  enabled?: boolean;
  /** Never asked again by itself: what happened has happened. */
  still?: boolean;
}

/** Ask the API; the answer before stays until the next is there. */
export function useAnswer<T>(path: string, query: Query = {}, options: Options = {}) {
  const refresh = useRefresh();
  const { range, enabled = true, still = false } = options;
  return useQuery<T, ApiError>({
    queryKey: [path, query, range ?? null],
    queryFn: ({ signal }) => get<T>(path, { ...query, ...(range && rangeQuery(range)) }, signal),
    enabled,
    placeholderData: keepPreviousData,
    refetchInterval: still ? false : refresh,
    staleTime: still ? 60_000 : 5_000,
  });
}

/** Ask for a list page by page. */
export function usePages<T>(path: string, query: Query, range: Range, enabled = true) {
  const refresh = useRefresh();
  return useInfiniteQuery<Page<T>, ApiError, { pages: Page<T>[] }, readonly unknown[], string | null>({
    queryKey: [path, "pages", query, range],
    queryFn: ({ pageParam, signal }) =>
      get<Page<T>>(path, { ...query, ...rangeQuery(range), cursor: pageParam }, signal),
    initialPageParam: null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    enabled,
    refetchInterval: (found) => ((found.state.data?.pages.length ?? 0) > 1 ? false : refresh),
    staleTime: 5_000,
  });
}

/** Return how often to ask again in milliseconds, false for never. */
export function useRefresh(): number | false {
  const [params] = useSearchParams();
  const seconds = Number(params.get("refresh"));
  return seconds >= 1 ? seconds * 1000 : false;
}
