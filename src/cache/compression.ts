import type { GpuContext } from "../gpu/device.ts";
import { type DispatchList, Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "./compress-call.ts";
import type { Compressor } from "./compressor.ts";
import type { KeptScores } from "./kept-scores.ts";
import { type KvShape, scoreStride } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import type { RowBuffers, RowStore } from "./row-store.ts";
import type { CachePlan } from "./scheduler.ts";
import { mostLength, type TableEntry } from "./table.ts";

/** Dispatches of one layer's compression, with room to spare. */
const LAYER_DISPATCHES = 32;

/** What all compressions of a cache work with. */
export interface CompressionParts {
  readonly gpu: GpuContext;
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly compressor: Compressor;
  readonly rows: RowStore;
  /** The last queries of every layer: f32 `[layer][windowSize][numHeads][headDim]`. */
  readonly queries: GPUBuffer;
  /** f32 `[layer][numKvHeads]` */
  readonly keptMass: GPUBuffer;
  /** Where scores are kept to be asked for, if they are. */
  readonly scores: KeptScores | undefined;
}

/** What one compression is about. */
export interface CompressionWork {
  readonly plan: CachePlan;
  readonly scratch: Scratch;
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
  readonly work: CompressionWork;
  /** Attention leaves max and sum of all window queries. */
  readonly hasStats: boolean;
  readonly #parts: CompressionParts;
  /** The layer that is recorded and not yet submitted, and what it had before. */
  #pending: { readonly layer: number; readonly old: RowBuffers | undefined } | undefined;
  #released = false;

  constructor(parts: CompressionParts, work: CompressionWork) {
    this.work = work;
    this.hasStats = parts.compressor.usesWindow && work.newTokens >= parts.options.windowSize;
    this.#parts = parts;
  }

  /** Tokens seen afterwards. */
  get tokens(): number {
    return this.work.seenTokens + this.work.newTokens;
  }

  /** @throws GpuOutOfMemoryError, and nothing is recorded. */
  async record(list: DispatchList, layer: number): Promise<void> {
    const { gpu, shape, compressor, rows: store, queries, keptMass, scores } = this.#parts;
    const { numKvHeads } = shape;
    const { plan, scratch, seenTokens, newTokens } = this.work;
    const heads = store.heads(layer);
    const from = store.buffers(layer);
    const rows = plan.rows[layer] as number;
    const longest = mostLength(heads) + newTokens;
    const evicts =
      numKvHeads * rows < heads.reduce((sum, [, length]) => sum + length + newTokens, 0);
    const stride = scoreStride(longest);
    if (!evicts) scores?.drop(layer);
    else await scores?.reserve(layer, { heads, newTokens, firstPosition: seenTokens, stride });
    const to = await gpu.allocating(`rows of layer ${layer}`, plan.bytes.final, () =>
      store.allocate(layer, numKvHeads * (plan.capacities[layer] as number)),
    );
    this.#pending = { layer, old: store.exchange(layer, to) };
    compressor.record(list, scratch, {
      layer,
      table: store.table,
      from,
      newTokens,
      firstPosition: seenTokens,
      candidates: longest,
      to,
      rows,
      spareRows: plan.spareRows,
      evicts,
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
    const { rows, scores, compressor } = this.#parts;
    const { scratch } = this.work;
    scores?.take(layer, compressor.usesWindow ? scratch.pooled : scratch.scores, old?.positions);
    rows.free(old);
    // Where nothing is evicted the host can tell how the rows lie, and those that there were are
    // still the first ones: restore points stay lengths. Else they hold the rows themselves.
    const { newTokens, plan } = this.work;
    let offset = 0;
    const heads = rows.heads(layer).map(([, length]): TableEntry => {
      const capacity = length + newTokens + plan.spareRows;
      offset += capacity;
      return [offset - capacity, length, capacity];
    });
    rows.setHeads(layer, heads);
  }

  /** Record and submit all layers, a layer at a time. */
  async recordAll(): Promise<void> {
    const { device, buffers } = this.#parts.gpu;
    const recorder = new Recorder(device, buffers, LAYER_DISPATCHES, "compression");
    try {
      for (let layer = 0; layer < this.#parts.shape.numLayers; layer++) {
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
      const { rows } = this.#parts;
      rows.free(rows.exchange(layer, old));
      this.#pending = undefined;
    }
    this.#parts.scores?.clear();
    this.release();
  }

  /** Free the scratch buffers. */
  release(): void {
    if (!this.#released) this.#parts.compressor.release(this.work.scratch);
    this.#released = true;
  }
}
