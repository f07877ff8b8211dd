import { expect, it } from "vitest";
import { changed, rangeQuery } from "./url";

it("changes what is named and keeps the rest", () => {
  const params = new URLSearchParams("since=1h&where=a%3D1&user=u");
  expect(changed(params, { user: null, where: ["b=2", "c=3"] }).toString()).toBe(
    "since=1h&where=b%3D2&where=c%3D3",
  );
});

it("asks the API with moments", () => {
  const asked = rangeQuery({ since: "2026-11-20T15:00:00Z", until: "2026-11-20T16:00:00Z" });
  expect(asked).toEqual({ since: "2026-11-20T15:00:00.000Z", until: "2026-11-20T16:00:00.000Z" });
});

it("leaves what is no time to the API to refuse", () => {
  expect(rangeQuery({ since: "soon", until: "now" })).toEqual({ since: "soon", until: "now" });
});
