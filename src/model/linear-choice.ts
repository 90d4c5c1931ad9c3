import type { PlanarLayout } from "../formats/planar.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { BroadcastSize, MatmulVariant, MatvecVariant } from "./linear-variants.ts";

/** Which variant serves one token and which many, by kind of weights. */
export interface LinearChoice {
  readonly matvec: Readonly<Record<PlanarLayout["kind"], MatvecVariant>>;
  readonly matmul: Readonly<Record<PlanarLayout["kind"], MatmulVariant>>;
}

/** What the choice of variants depends on. */
export type AdapterFacts = Pick<GpuContext, "isSoftware" | "features" | "info">;

/** The subgroup size that the broadcast kernels can use on an adapter, else 0. */
export function broadcastSize({ features, info }: AdapterFacts): BroadcastSize {
  const { subgroupMinSize: size, subgroupMaxSize } = info;
  if (!features.has("subgroups") || size !== subgroupMaxSize) return 0;
  return size === 4 || size === 8 ? size : 0;
}

/** The variants that an adapter starts with, from what is known of it. */
export function defaultChoice(adapter: AdapterFacts): LinearChoice {
  return adapter.isSoftware ? softwareChoice(broadcastSize(adapter)) : gpuChoice(adapter);
}

/** Tuned on lavapipe (subgroups of 8) and SwiftShader (of 4); src/README.md has the figures. */
function softwareChoice(broadcast: BroadcastSize): LinearChoice {
  if (broadcast === 8) {
    return sameForAll(
      { kernel: "matvec_rows", rows: 2, broadcast, workgroupSize: 32 },
      { kernel: "matmul_rows", rows: 4, tokens: 6, broadcast, workgroupSize: 16 },
    );
  }
  return sameForAll(
    { kernel: "matvec_rows", rows: 8, broadcast, workgroupSize: 16 },
    { kernel: "matmul_rows", rows: 8, tokens: 8, broadcast, workgroupSize: 16 },
  );
}

function gpuChoice({ features }: AdapterFacts): LinearChoice {
  const subgroups = features.has("subgroups");
  return sameForAll(
    { kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups },
    { kernel: "matmul_tile", tile: 64, quads: 1, step: 32 },
  );
}

/** One variant for one token and one for many, whatever the weights. */
export function sameForAll(matvec: MatvecVariant, matmul: MatmulVariant): LinearChoice {
  return {
    matvec: { q4: matvec, q8: matvec, f16: matvec },
    matmul: { q4: matmul, q8: matmul, f16: matmul },
  };
}
