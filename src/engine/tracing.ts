import { onDemand } from "../on-demand.ts";
import type * as traceParts from "./trace-parts.ts";

/** What only engines need that were loaded with `trace`. @throws ModuleLoadError */
export function tracing(): Promise<typeof traceParts> {
  return onDemand("traces", () => import("./trace-parts.ts"));
}
