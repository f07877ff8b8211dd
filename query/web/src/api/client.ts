/** Requests to the API: the token in its header, errors as what the server says of them. */

import { askForToken, token } from "~/state/token";

export const BASE = "/api/v1";

export type Query = Record<string, string | readonly string[] | number | null | undefined>;

/** An answer that is none: RFC 9457 problem details, or no answer at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    const values = Array.isArray(value) ? value : [value];
    for (const one of values) {
      if (one !== null && one !== undefined && one !== "") {
        params.append(name, String(one));
      }
    }
  }
  const text = params.toString();
  return `${BASE}${path}${text ? `?${text}` : ""}`;
}

/** Open a request; the caller reads the body.
 *
 * @throws ApiError if there is no answer or one that says no
 */
export async function open(url: string, accept: string, signal?: AbortSignal): Promise<Response> {
  const headers = new Headers({ accept });
  const known = token();
  if (known) {
    headers.set("authorization", `Bearer ${known}`);
  }
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: signal ?? null, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new ApiError(0, "No answer", "The server cannot be reached. Is Ganglion running?");
  }
  if (!response.ok) {
    throw await problemOf(response);
  }
  return response;
}

async function problemOf(response: Response): Promise<ApiError> {
  if (response.status === 401) {
    askForToken();
  }
  const body: unknown = await response.json().catch(() => null);
  const told = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const title = typeof told.title === "string" ? told.title : response.statusText;
  const detail = typeof told.detail === "string" ? told.detail : `The server answered ${response.status}.`;
  return new ApiError(response.status, title, detail);
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  const response = await open(address(path, query), "application/json", signal);
  return (await response.json()) as T;
}
