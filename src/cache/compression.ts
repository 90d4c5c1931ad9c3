import type { GpuContext } from "../gpu/device.ts";
import { type DispatchList, Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "./compress-call.ts";
import type { Compressor } from "./compressor.ts";
import type { KvShape } from "./layout.ts";
import type { RowBuffers, RowStore } from "./row-store.ts";
import type { CachePlan } from "./scheduler.ts";
import type { TableEntry } from "./table.ts";

/** Dispatches of one layer's compression, with room to spare. */
const LAYER_DISPATCHES = 32;

/** What a compression works with. */
export interface CompressionInput {
  readonly plan: CachePlan;
  readonly scratch: Scratch;
  readonly queries: GPUBuffer;
  readonly keptMass: GPUBuffer;
  readonly windowSize: number;
  /** Tokens seen before. */
  readonly seenTokens: number;
  /** Tokens whose rows are staged; 0 where the kept rows alone are compressed again. */
  readonly newTokens: number;
}

/**
 * One compression of all layers, in order: each layer's rows are gathered into new buffers, recorded
 * by `record`, and once that is submitted the old ones are freed by `submitted`.
 */
export class Compression {
  readonly plan: CachePlan;
  readonly scratch: Scratch;
  /** Attention leaves max and sum of all window queries. */
  readonly hasStats: boolean;
  readonly #gpu: GpuContext;
  readonly #shape: KvShape;
  readonly #compressor: Compressor;
  readonly #rows: RowStore;
  readonly #input: CompressionInput;
  /** The layer that is recorded and not yet submitted, and what it had before. */
  #pending: { readonly layer: number; readonly old: RowBuffers | undefined } | undefined;
  #released = false;

  constructor(
    gpu: GpuContext,
    shape: KvShape,
    compressor: Compressor,
    rows: RowStore,
    input: CompressionInput,
  ) {
    this.plan = input.plan;
    this.scratch = input.scratch;
    this.hasStats = compressor.usesWindow && input.newTokens >= input.windowSize;
    this.#gpu = gpu;
    this.#shape = shape;
    this.#compressor = compressor;
    this.#rows = rows;
    this.#input = input;
  }

  /** Tokens seen afterwards. */
  get tokens(): number {
    return this.#input.seenTokens + this.#input.newTokens;
  }

  /** @throws GpuOutOfMemoryError, and nothing is recorded. */
  async record(list: DispatchList, layer: number): Promise<void> {
    const { numKvHeads } = this.#shape;
    const { plan, seenTokens, newTokens, queries, keptMass } = this.#input;
    const heads = this.#rows.heads(layer);
    const from = this.#rows.buffers(layer);
    const rows = plan.rows[layer] as number;
    const candidates = heads.reduce((sum, [, length]) => sum + length + newTokens, 0);
    const to = await this.#gpu.allocating(`rows of layer ${layer}`, plan.bytes.final, () =>
      this.#rows.allocate(layer, numKvHeads * (plan.capacities[layer] as number)),
    );
    this.#pending = { layer, old: this.#rows.exchange(layer, to) };
    this.#compressor.record(list, this.scratch, {
      layer,
      table: this.#rows.table,
      from,
      newTokens,
      firstPosition: seenTokens,
      candidates: Math.max(...heads.map(([, length]) => length)) + newTokens,
      to,
      rows,
      spareRows: plan.spareRows,
      evicts: numKvHeads * rows < candidates,
      queries,
      tokens: this.tokens,
      hasStats: this.hasStats,
      keptMass,
    });
  }

  /** What `record` recorded is submitted. */
  submitted(): void {
    if (this.#pending === undefined) return;
    const { layer, old } = this.#pending;
    this.#pending = undefined;
    this.#rows.free(old);
    // Where nothing is evicted the host can tell how the rows lie, and those that there were are
    // still the first ones: restore points stay lengths. Else they hold the rows themselves.
    const { newTokens, plan } = this.#input;
    let offset = 0;
    const heads = this.#rows.heads(layer).map(([, length]): TableEntry => {
      const capacity = length + newTokens + plan.spareRows;
      offset += capacity;
      return [offset - capacity, length, capacity];
    });
    this.#rows.setHeads(layer, heads);
  }

  /** Record and submit all layers, a layer at a time. */
  async recordAll(): Promise<void> {
    const { device, buffers } = this.#gpu;
    const recorder = new Recorder(device, buffers, LAYER_DISPATCHES, "compression");
    try {
      for (let layer = 0; layer < this.#shape.numLayers; layer++) {
        await this.record(recorder, layer);
        recorder.submit();
        this.submitted();
      }
    } finally {
      recorder.destroy();
    }
  }

  /** It failed: free what was made for it. The cache has to be restored. */
  cancel(): void {
    if (this.#pending !== undefined) {
      const { layer, old } = this.#pending;
      this.#rows.free(this.#rows.exchange(layer, old));
      this.#pending = undefined;
    }
    this.release();
  }

  /** Free the scratch buffers. */
  release(): void {
    if (!this.#released) this.#compressor.release(this.scratch);
    this.#released = true;
  }
}
