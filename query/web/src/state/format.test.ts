import { describe, expect, it } from "vitest";
import { ago, dollars, dollarsTick, duration, durationTick, link, percent, text, times } from "./format";

describe("duration", () => {
  it.each([
    [0, "0 µs"],
    [0.84, "840 µs"],
    [7.4, "7.40 ms"],
    [12.44, "12.4 ms"],
    [999.7, "1.00 s"],
    [3800, "3.80 s"],
    [59_996, "1 m 00 s"],
    [125_000, "2 m 05 s"],
    [3_661_000, "1 h 01 m"],
    [-1500, "-1.50 s"],
    [null, "–"],
  ])("%s ms is %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

it.each([
  [0, "$0.00"],
  [0.000024, "$0.000024"],
  [0.0004, "$0.00040"],
  [0.00158, "$0.0016"],
  [0.25, "$0.25"],
  [12.5, "$12.50"],
  [12_345.678, "$12,345.68"],
])("%s US dollars are %s", (usd, words) => {
  expect(dollars(usd)).toBe(words);
});

it.each([
  [0, "0 %"],
  [0.00005, "<0.01 %"],
  [0.0123, "1.2 %"],
  [0.2, "20 %"],
  [1, "100 %"],
])("a share of %s is %s", (share, words) => {
  expect(percent(share)).toBe(words);
});

it.each([
  [0, "0"],
  [0.5, "500 µs"],
  [200, "200 ms"],
  [1000, "1 s"],
  [1500, "1.5 s"],
  [60_000, "1 m 00 s"],
])("an axis says %s ms as %s", (ms, words) => {
  expect(durationTick(ms)).toBe(words);
});

it.each([
  [0, "$0"],
  [0.0125, "$0.0125"],
  [0.00000002, "$0.00000002"],
  [20, "$20"],
])("an axis says %s US dollars as %s", (usd, words) => {
  expect(dollarsTick(usd)).toBe(words);
});

it.each([
  [1.84, "1.8"],
  [9.96, "10"],
  [1071.5, "1,072"],
])("%s times is %s", (ratio, words) => {
  expect(times(ratio)).toBe(words);
});

describe("link", () => {
  it("is there for web addresses", () => {
    expect(link("https://example.org/a?b=c")).toBe("https://example.org/a?b=c");
  });

  it.each([
    "javascript:alert(1)",
    "data:text/html,x",
    " https://example.org",
    "https://",
    "ftp://x",
    7,
    null,
  ])("is not there for %j", (value) => {
    expect(link(value)).toBeNull();
  });
});

it("shows what is no text as JSON", () => {
  expect(text({ a: [1] })).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(text("<b>")).toBe("<b>");
});

it("says how long ago", () => {
  expect(ago("2026-11-20T15:00:00Z", Date.parse("2026-11-20T17:10:00Z"))).toBe("2 h ago");
});
