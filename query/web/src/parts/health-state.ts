import { CircleAlert, CircleCheck, CircleHelp, type LucideIcon, TriangleAlert } from "lucide-react";
import type { State } from "~/api/types";

/** How a state looks. */
export const STATES: Record<State, { icon: LucideIcon; tone: string }> = {
  healthy: { icon: CircleCheck, tone: "good" },
  degraded: { icon: TriangleAlert, tone: "warn" },
  failing: { icon: CircleAlert, tone: "bad" },
  unknown: { icon: CircleHelp, tone: "soft" },
};
