import { onDemand } from "../on-demand.ts";

/** What only engines need that were loaded with `trace`. @throws ModuleLoadError */
export function tracing(): Promise<typeof import("./trace-parts.ts")> {
  return onDemand("traces", () => import("./trace-parts.ts"));
}
