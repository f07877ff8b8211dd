import { type ComponentType, createElement } from "react";
import { createBrowserRouter, isRouteErrorResponse, type RouteObject, useRouteError } from "react-router";
import { Shell } from "~/parts/shell";
import { Empty, Failure } from "~/parts/states";

function page(path: string, load: () => Promise<Record<string, ComponentType>>): RouteObject {
  return {
    path,
    lazy: async () => {
      const Page = Object.values(await load())[0];
      return { element: Page ? createElement(Page) : null };
    },
    errorElement: <Broken />,
  };
}

const trace = () => import("~/pages/trace/trace-page");

export const router = createBrowserRouter([
  {
    element: <Shell />,
    errorElement: <Broken />,
    hydrateFallbackElement: <span />,
    children: [
      page("/", () => import("~/pages/overview-page")),
      page("/search", () => import("~/pages/search-page")),
      page("/logs", () => import("~/pages/logs-page")),
      page("/errors", () => import("~/pages/errors-page")),
      page("/changes", () => import("~/pages/changes-page")),
      page("/compare", () => import("~/pages/compare-page")),
      page("/quality", () => import("~/pages/quality-page")),
      page("/costs", () => import("~/pages/costs-page")),
      page("/health", () => import("~/pages/health-page")),
      page("/trace/:traceId", trace),
      page("/debug/trace/:traceId", trace),
      { path: "*", element: <Empty title="There is no such page">Choose one from the menu.</Empty> },
    ],
  },
]);

function Broken() {
  const error = useRouteError();
  const told = isRouteErrorResponse(error) ? new Error(error.statusText) : error;
  return (
    <Failure
      error={told instanceof Error ? told : new Error(String(told))}
      onRetry={() => location.reload()}
    />
  );
}
