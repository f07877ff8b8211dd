import { expect, it } from "vitest";
import { hueOf } from "./colors";

const SERVICES = ["rag-service", "vector-store", "model-gateway", "reranker", "evaluator"];

it("a service has its hue in every selection of services", () => {
  expect(hueOf(["rag-service"], "rag-service")).toBe(hueOf(SERVICES, "rag-service"));
  expect(hueOf([...SERVICES].reverse(), "reranker")).toBe(hueOf(SERVICES, "reranker"));
});

it("services of one trace differ while there are hues", () => {
  const many = Array.from({ length: 10 }, (_, index) => `service-${index}`);
  expect(new Set(many.map((name) => hueOf(many, name))).size).toBe(10);
});

it("more services than hues get one each", () => {
  const many = Array.from({ length: 30 }, (_, index) => `service-${index}`);
  expect(hueOf(many, "service-29")).toMatch(/^var\(--hue-\d\)$/);
});

it.each([null, "stranger"])("%s has none", (service) => {
  expect(hueOf(SERVICES, service)).toBe("var(--faint)");
});
