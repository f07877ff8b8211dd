import { expect, describe as group, it } from "vitest";
import { describe, isRelative, lengthOf, parseTime, resolve } from "./time";

const NOW = new Date(2026, 10, 20, 16, 30, 15);

group("parseTime", () => {
  it.each([
    ["now", NOW],
    ["90m", new Date(2026, 10, 20, 15, 0, 15)],
    ["1h30m", new Date(2026, 10, 20, 15, 0, 15)],
    ["2 hours ago", new Date(2026, 10, 20, 14, 30, 15)],
    ["1.5d", new Date(2026, 10, 19, 4, 30, 15)],
    ["15:00", new Date(2026, 10, 20, 15, 0)],
    ["17:00", new Date(2026, 10, 19, 17, 0)],
    ["3pm", new Date(2026, 10, 20, 15, 0)],
    ["12am", new Date(2026, 10, 20, 0, 0)],
    ["noon", new Date(2026, 10, 20, 12, 0)],
    ["today", new Date(2026, 10, 20)],
    ["yesterday", new Date(2026, 10, 19)],
    ["yesterday 15:00", new Date(2026, 10, 19, 15, 0)],
    ["monday", new Date(2026, 10, 16)],
    ["fri 17:00", new Date(2026, 10, 13, 17, 0)],
    ["2026-11-20", new Date(2026, 10, 20)],
    ["2026-11-20 15:00", new Date(2026, 10, 20, 15, 0)],
    ["2026-11-20T15:00:00Z", new Date(Date.UTC(2026, 10, 20, 15, 0))],
    ["2026-11-20T15:00:00+02:00", new Date(Date.UTC(2026, 10, 20, 13, 0))],
  ])("reads %s", (text, moment) => {
    expect(parseTime(text, NOW)).toEqual(moment);
  });

  it.each(["", "soon", "25:00", "13pm", "5x", "2026-13-40", "yesterday soon", "1h 5x"])(
    "refuses %j",
    (text) => {
      expect(parseTime(text, NOW)).toBeNull();
    },
  );

  it("goes back no further than the epoch", () => {
    expect(parseTime("9999w", NOW)?.getTime()).toBe(0);
  });
});

it("tells lengths of time from times", () => {
  expect(lengthOf("1h 30m")).toBe(5400);
  expect(isRelative("2d ago")).toBe(true);
  expect(isRelative("15:00")).toBe(false);
});

group("resolve", () => {
  it("gives both ends", () => {
    expect(resolve({ since: "1h", until: "now" }, NOW)?.until).toEqual(NOW);
  });

  it("refuses a range the wrong way round", () => {
    expect(resolve({ since: "now", until: "1h" }, NOW)).toBeNull();
  });
});

group("describe", () => {
  it.each([
    [{ since: "1h", until: "now" }, "Last hour"],
    [{ since: "90m", until: "now" }, "Last 90m"],
    [{ since: "2026-11-20 15:00", until: "2026-11-20 15:10" }, "15:00 – 15:10"],
    [{ since: "2026-11-19 15:00", until: "now" }, "19 Nov 15:00 – now"],
  ])("%j is %s", (range, words) => {
    expect(describe(range, NOW)).toBe(words);
  });
});
