import { laterShaders } from "../gpu/shader-sources.ts";

/** Everything that some call imports when it first needs it; `test/unit/on-demand.test.ts` holds it complete. */
export async function loadAllParts(): Promise<void> {
  await Promise.all([
    import("../cache/create-compressed.ts"),
    import("../cache/host-rows.ts"),
    import("../model/open-folder.ts"),
    import("../model/quantizer.ts"),
    import("./score.ts"),
    import("./session.ts"),
    import("./trace-parts.ts"),
    laterShaders(),
  ]);
}
