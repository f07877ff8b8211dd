/** Figures as people read them. */

const GROUPED = new Intl.NumberFormat("en-US");
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export function count(value: number): string {
  return value < 100_000 ? GROUPED.format(value) : COMPACT.format(value);
}

export function compact(value: number): string {
  return value < 10_000 ? GROUPED.format(Math.round(value * 100) / 100) : COMPACT.format(value);
}

/** Return a duration of milliseconds with three digits that matter: `840 µs`, `12.4 ms`, `3.2 s`, `2m 05s`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) {
    return "–";
  }
  const size = Math.abs(ms);
  if (size === 0) {
    return "0 ms";
  }
  if (size < 1) {
    return `${digits(ms * 1000)} µs`;
  }
  if (size < 1000) {
    return `${digits(ms)} ms`;
  }
  if (size < 60_000) {
    return `${digits(ms / 1000)} s`;
  }
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  }
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  const text = value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

export function dollars(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) {
    return "–";
  }
  if (usd === 0) {
    return "$0";
  }
  if (usd < 0.0001) {
    return "<$0.0001";
  }
  if (usd < 1) {
    return `$${usd
      .toFixed(usd < 0.01 ? 5 : 4)
      .replace(/0+$/, "")
      .replace(/\.$/, "")}`;
  }
  return usd < 1000 ? `$${usd.toFixed(2)}` : `$${COMPACT.format(usd)}`;
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) {
    return "–";
  }
  const value = share * 100;
  if (value === 0 || value === 100) {
    return `${value} %`;
  }
  if (value < 0.01) {
    return "<0.01 %";
  }
  return `${value.toFixed(value < 1 ? 2 : value < 99 ? 1 : 2).replace(/\.?0+$/, "")} %`;
}

export function score(value: number): string {
  return value.toFixed(2);
}

/** Return a time of day in the browser's zone, with milliseconds. */
export function clock(iso: string): string {
  const moment = new Date(iso);
  return `${moment.toTimeString().slice(0, 8)}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

export function day(iso: string): string {
  return new Date(iso).toLocaleDateString("en-GB", { day: "2-digit", month: "short" });
}

export function moment(iso: string): string {
  return `${day(iso)} ${new Date(iso).toTimeString().slice(0, 8)}`;
}

/** Return how long before `now` a time is: `12 s ago`, `3 h ago`. */
export function ago(iso: string, now: number): string {
  const seconds = Math.round((now - new Date(iso).getTime()) / 1000);
  const [value, unit] =
    seconds < 60
      ? [seconds, "s"]
      : seconds < 3600
        ? [seconds / 60, "min"]
        : seconds < 86_400
          ? [seconds / 3600, "h"]
          : [seconds / 86_400, "d"];
  return `${Math.max(0, Math.round(value))} ${unit} ago`;
}

export function shortId(id: string): string {
  return id.length > 12 ? `${id.slice(0, 8)}…` : id;
}

/** Return any stored value as text. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

/** Return the address if a value is one that may be opened: http or https and nothing else. */
export function link(value: unknown): string | null {
  if (typeof value !== "string" || !/^https?:\/\/\S+$/i.test(value)) {
    return null;
  }
  return URL.canParse(value) ? value : null;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
