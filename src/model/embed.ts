import type { PlanarLayout } from "../formats/planar.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type { Matrix } from "./linear.ts";
import { layoutKey, splitGrid, weightVariant } from "./linear-variants.ts";

/** One look-up: hidden[t] = row tokenIds[idsOffset + t] of the matrix. */
export interface EmbedCall {
  readonly matrix: Matrix;
  readonly tokens: number;
  /** u32; a prompt's ids, or the state buffer whose first word is the token in work. */
  readonly tokenIds: BufferBinding;
  /** Element of the first token's id; by default 0. */
  readonly idsOffset?: number;
  /** f32 `[tokens][cols]`. */
  readonly hidden: BufferBinding;
}

/** Token ids to hidden states. */
export interface Embed {
  /** Record the dispatches: one for each slice of the matrix. */
  record(list: DispatchList, call: EmbedCall): void;
}

const VALUES_PER_WORKGROUP = 256;

/**
 * Compile the look-up for the layouts of an embedding matrix's slices.
 * @throws ShaderError
 */
export async function createEmbed(
  gpu: GpuContext,
  layouts: readonly PlanarLayout[],
): Promise<Embed> {
  const kernels = new Map<string, Kernel>();
  await Promise.all(
    layouts.map(async (layout) => {
      const kernel = await gpu.kernels.get({ name: "embed", ...weightVariant(layout) });
      kernels.set(layoutKey(layout), kernel);
    }),
  );
  return {
    record(list, { matrix, tokens, tokenIds, idsOffset = 0, hidden }) {
      const { cols } = matrix;
      for (const { layout, rowStart, rows, quants, scales } of matrix.slices) {
        const kernel = kernels.get(layoutKey(layout));
        if (kernel === undefined) throw new Error(`embed was not compiled for ${layout.kind}`);
        const weights = layout.kind === "f16" ? { quants } : { quants, scales };
        list.run(
          kernel,
          { ...weights, token_ids: tokenIds, hidden },
          { tokens, cols, ids_offset: idsOffset, row_start: rowStart, rows },
          splitGrid(Math.ceil((tokens * cols) / VALUES_PER_WORKGROUP)),
        );
      }
    },
  };
}
