import { useAnswer } from "~/api/queries";
import type { OperationInfo, ServiceInfo } from "~/api/types";
import { useUrl } from "~/state/url";

/** What may be suggested in filters. */
export function useServices(): string[] {
  return useAnswer<ServiceInfo[]>("/services", {}, { still: true }).data?.map((one) => one.name) ?? [];
}

/** Return the operations of the service that the page is about. */
export function useOperations(): string[] {
  const service = useUrl().get("service");
  const found = useAnswer<OperationInfo[]>(
    `/services/${encodeURIComponent(service)}/operations`,
    {},
    { still: true, enabled: service !== "" },
  );
  return service ? [...new Set(found.data?.map((one) => one.name))] : [];
}

export function useAttributes(enabled = true): string[] {
  return useAnswer<string[]>("/attributes", { since: "24h" }, { still: true, enabled }).data ?? [];
}

export const LAYERS = ["ingestion", "data", "retrieval", "generation", "evaluation", "memory"] as const;
