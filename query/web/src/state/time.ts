/** Times as people type them, in the zone of the browser: the forms that the command line and the API take. */

export interface Range {
  since: string;
  until: string;
}

const UNITS: Record<string, number> = {};
for (const [names, seconds] of [
  ["s sec second seconds", 1],
  ["m min minute minutes", 60],
  ["h hour hours", 3600],
  ["d day days", 86_400],
  ["w week weeks", 604_800],
] as const) {
  for (const name of names.split(" ")) {
    UNITS[name] = seconds;
  }
}

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const PARTS = /^(?:\d+(?:\.\d+)? ?[a-z]+ ?)+$/;
const PART = /(\d+(?:\.\d+)?) ?([a-z]+) ?/g;
const CLOCK = /^(\d{1,2}):(\d{2})(?::(\d{2}))? ?(am|pm)?$/;
const HOUR = /^(\d{1,2})() ?()(am|pm)$/;
const ISO = /^\d{4}-\d{2}-\d{2}(?:[t ]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?)?(?:z|[+-]\d{2}:?\d{2})?$/;

export const FORMS = "24h, 30m, 15:00, 3pm, today, yesterday 15:00, monday, now, 2026-11-20 15:00";

/** Return the moment that a text means at `now`, null if it is not a time. */
export function parseTime(text: string, now: Date): Date | null {
  const word = text.trim().toLowerCase().replace(/\s+/g, " ");
  if (word === "now") {
    return now;
  }
  const seconds = lengthOf(word.replace(/ ago$/, ""));
  if (seconds !== null) {
    return new Date(Math.max(now.getTime() - seconds * 1000, 0));
  }
  return spoken(word, now) ?? iso(word);
}

/** Return the seconds of `90m` or `1h 30m`, null if it is not a length of time. */
export function lengthOf(word: string): number | null {
  if (!PARTS.test(word)) {
    return null;
  }
  let sum = 0;
  for (const [, count, unit] of word.matchAll(PART)) {
    const seconds = UNITS[unit ?? ""];
    if (seconds === undefined) {
      return null;
    }
    sum += Number(count) * seconds;
  }
  return sum;
}

/** Whether a text is a length of time that counts back from now: what moves on as time does. */
export function isRelative(text: string): boolean {
  return lengthOf(text.trim().toLowerCase().replace(/ ago$/, "")) !== null;
}

function spoken(word: string, now: Date): Date | null {
  const space = word.indexOf(" ");
  const first = space < 0 ? word : word.slice(0, space);
  const rest = space < 0 ? "" : word.slice(space + 1);
  const days = daysAgo(first, now);
  if (days === null) {
    const clock = clockOf(word);
    return clock && lastOf(now, 0, 1, clock);
  }
  const clock = rest ? clockOf(rest.replace(/^at /, "")) : ([0, 0, 0] as Clock);
  if (!clock) {
    return null;
  }
  return first === "today" || first === "yesterday" ? at(now, days, clock) : lastOf(now, days, 7, clock);
}

type Clock = [number, number, number];

function daysAgo(word: string, now: Date): number | null {
  if (word === "today" || word === "yesterday") {
    return word === "yesterday" ? 1 : 0;
  }
  const index = WEEKDAYS.findIndex((name) => name === word || name.slice(0, 3) === word);
  return index < 0 ? null : (now.getDay() - index + 7) % 7;
}

function clockOf(word: string): Clock | null {
  if (word === "noon") {
    return [12, 0, 0];
  }
  if (word === "midnight") {
    return [0, 0, 0];
  }
  const match = CLOCK.exec(word) ?? HOUR.exec(word);
  if (!match) {
    return null;
  }
  const [hour, minute, second] = [match[1], match[2], match[3]].map((part) => Number(part || 0)) as Clock;
  const half = match[4];
  if ((half && (hour < 1 || hour > 12)) || hour > 23 || minute > 59 || second > 59) {
    return null;
  }
  return [half ? (hour % 12) + (half === "pm" ? 12 : 0) : hour, minute, second];
}

function lastOf(now: Date, days: number, step: number, clock: Clock): Date {
  const moment = at(now, days, clock);
  return moment <= now ? moment : at(now, days + step, clock);
}

function at(now: Date, days: number, [hour, minute, second]: Clock): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - days, hour, minute, second);
}

function iso(word: string): Date | null {
  if (!ISO.test(word)) {
    return null;
  }
  const text = word.toUpperCase().replace(" ", "T");
  const moment = new Date(text.includes("T") ? text : `${text}T00:00:00`);
  return Number.isNaN(moment.getTime()) ? null : moment;
}

/** Return a range as two moments, null if one is not a time or they are the wrong way round. */
export function resolve(range: Range, now: Date): { since: Date; until: Date } | null {
  const since = parseTime(range.since, now);
  const until = parseTime(range.until, now);
  return since && until && since < until ? { since, until } : null;
}

export const QUICK: readonly { since: string; label: string }[] = [
  { since: "15m", label: "Last 15 minutes" },
  { since: "1h", label: "Last hour" },
  { since: "6h", label: "Last 6 hours" },
  { since: "24h", label: "Last 24 hours" },
  { since: "3d", label: "Last 3 days" },
  { since: "7d", label: "Last 7 days" },
  { since: "30d", label: "Last 30 days" },
  { since: "today", label: "Today" },
  { since: "yesterday", label: "Since yesterday" },
];

/** Return the words for a range, as short as they can be. */
export function describe(range: Range, now: Date): string {
  if (range.until === "now") {
    const quick = QUICK.find((one) => one.since === range.since);
    if (quick) {
      return quick.label;
    }
    if (isRelative(range.since)) {
      return `Last ${range.since}`;
    }
  }
  const moments = resolve(range, now);
  if (!moments) {
    return `${range.since} – ${range.until}`;
  }
  const from = stamp(moments.since, now);
  if (range.until === "now") {
    return `${from} – now`;
  }
  const sameDay = moments.since.toDateString() === moments.until.toDateString();
  return `${from} – ${sameDay ? clock(moments.until) : stamp(moments.until, now)}`;
}

function stamp(moment: Date, now: Date): string {
  const day =
    moment.toDateString() === now.toDateString()
      ? ""
      : `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} `;
  return day + clock(moment);
}

function clock(moment: Date): string {
  const text = moment.toTimeString().slice(0, 8);
  return text.endsWith(":00") ? text.slice(0, 5) : text;
}
