/** Figures as people read them. */

const GROUPED = new Intl.NumberFormat("en-US");
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export function count(value: number): string {
  return value < 100_000 ? GROUPED.format(value) : COMPACT.format(value);
}

export function compact(value: number): string {
  return value < 10_000 ? GROUPED.format(Math.round(value * 100) / 100) : COMPACT.format(value);
}

/** Return a duration with three digits that matter, as the command line does: `850 µs`, `12.3 ms`, `1.23 s`, `2 m 05 s`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) {
    return "–";
  }
  if (ms < 0) {
    return `-${duration(-ms)}`;
  }
  if (ms < 0.9995) {
    return `${(ms * 1000).toFixed(0)} µs`;
  }
  if (ms < 999.5) {
    return `${threeDigits(ms)} ms`;
  }
  if (ms < 59_995) {
    return `${threeDigits(ms / 1000)} s`;
  }
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} m ${pad(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

/** Return a duration for an axis: `0`, `200 ms`, `1.5 s`. */
export function durationTick(ms: number): string {
  const trimmed = (_: string, digits: string, unit: string) => `${Number(digits)}${unit}`;
  return ms === 0 ? "0" : duration(ms).replace(/^([\d.]+)( m?s)$/, trimmed);
}

/** Return an amount with the digits that matter, as the command line does: `$12.50`, `$0.25`, `$0.00042`. */
export function dollars(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) {
    return "–";
  }
  const digits = usd >= 1 || usd <= 0 ? 2 : Math.min(12, Math.max(2, 1 - Math.floor(Math.log10(usd))));
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** Return an amount for an axis: `$0`, `$0.0125`, `$20`. */
export function dollarsTick(usd: number): string {
  return `$${usd.toLocaleString("en-US", { maximumSignificantDigits: 4 })}`;
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

/** Return how many times as much: `1.8`, `44`. */
export function times(ratio: number): string {
  return ratio < 9.95 ? ratio.toFixed(1) : GROUPED.format(Math.round(ratio));
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
