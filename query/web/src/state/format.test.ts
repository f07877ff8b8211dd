import { describe, expect, it } from "vitest";
import { ago, dollars, duration, link, percent, text } from "./format";

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [0.84, "840 µs"],
    [12.44, "12.4 ms"],
    [999.7, "1000 ms"],
    [3800, "3.8 s"],
    [61_000, "1m 01s"],
    [3_661_000, "1h 01m"],
    [null, "–"],
  ])("%s ms is %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

it.each([
  [0, "$0"],
  [0.00001, "<$0.0001"],
  [0.00158, "$0.00158"],
  [0.25, "$0.25"],
  [12.5, "$12.50"],
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
