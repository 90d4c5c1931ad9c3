import type { GpuContext } from "../gpu/device.ts";
import type { BroadcastSize, MatmulVariant, MatvecVariant } from "./linear-variants.ts";

/** Which variant serves one token and which many. */
export interface LinearChoice {
  readonly matvec: MatvecVariant;
  readonly matmul: MatmulVariant;
}

/** What the choice of variants depends on. */
export type AdapterFacts = Pick<GpuContext, "isSoftware" | "features" | "info">;

/** What suits an adapter, the best guess first; where there is more than one, time decides. */
export interface LinearCandidates {
  readonly matvec: readonly [MatvecVariant, ...MatvecVariant[]];
  readonly matmul: readonly [MatmulVariant, ...MatmulVariant[]];
}

/** The subgroup size that the broadcast kernels can use on an adapter, else 0. */
export function broadcastSize({ features, info }: AdapterFacts): BroadcastSize {
  const { subgroupMinSize: size, subgroupMaxSize } = info;
  if (!features.has("subgroups") || size !== subgroupMaxSize) return 0;
  return size === 4 || size === 8 ? size : 0;
}

/**
 * The variants that suit an adapter, from what is known of it. Those for CPU adapters were tuned on
 * lavapipe (subgroups of 8) and SwiftShader (of 4): see the decisions in src/README.md.
 */
export function linearCandidates(adapter: AdapterFacts): LinearCandidates {
  if (!adapter.isSoftware) {
    const subgroups = adapter.features.has("subgroups");
    return {
      matvec: [
        { kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups },
        { kernel: "matvec_lanes", groups: 1, lanes: 16, subgroups },
      ],
      matmul: [
        { kernel: "matmul_tile", tile: 64, quads: 1, step: 32 },
        { kernel: "matmul_tile", tile: 64, quads: 2, step: 32 },
      ],
    };
  }
  const broadcast = broadcastSize(adapter);
  switch (broadcast) {
    case 8:
      return {
        matvec: [{ kernel: "matvec_rows", rows: 2, broadcast, workgroupSize: 32 }],
        matmul: [
          { kernel: "matmul_rows", rows: 8, tokens: 8, broadcast, workgroupSize: 16 },
          // Its sums fit the registers of CPUs with AVX-512.
          { kernel: "matmul_rows", rows: 4, tokens: 6, broadcast, workgroupSize: 16 },
        ],
      };
    case 4:
      return {
        matvec: [{ kernel: "matvec_rows", rows: 8, broadcast, workgroupSize: 16 }],
        matmul: [{ kernel: "matmul_rows", rows: 8, tokens: 8, broadcast, workgroupSize: 16 }],
      };
    case 0:
      return {
        matvec: [{ kernel: "matvec_rows", rows: 2, broadcast, workgroupSize: 32 }],
        matmul: [{ kernel: "matmul_rows", rows: 2, tokens: 4, broadcast, workgroupSize: 32 }],
      };
    default:
      throw new Error(`no variants for subgroups of ${broadcast satisfies never}`);
  }
}

/** Models of fewer weights run for less time than the kernels that are best for large ones take to compile. */
export function isSmallModel(weights: number): boolean {
  return weights < 4_000_000;
}

/**
 * The variants for a model of so many weights where the adapter and they decide; undefined where it takes a
 * measurement (`measuredChoice`).
 */
export function choiceForSmall(adapter: AdapterFacts, weights: number): LinearChoice | undefined {
  if (!isSmallModel(weights)) return undefined;
  if (!adapter.isSoftware) return defaultChoice(adapter);
  // Few sums in a thread are little to compile.
  const common = { rows: 2, broadcast: broadcastSize(adapter), workgroupSize: 16 };
  return {
    matvec: { kernel: "matvec_rows", ...common },
    matmul: { kernel: "matmul_rows", tokens: 4, ...common },
  };
}

/** The variants that an adapter gets without a measurement. */
export function defaultChoice(adapter: AdapterFacts): LinearChoice {
  const { matvec, matmul } = linearCandidates(adapter);
  return { matvec: matvec[0], matmul: matmul[0] };
}
