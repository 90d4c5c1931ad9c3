import type { DispatchList } from "../gpu/recorder.ts";
import type { Compression, CompressionParts } from "./compression.ts";
import { HeadReader } from "./head-reader.ts";
import type { CachePrefill, LayerRows, RowTracking, StagedRegion } from "./kv-cache.ts";
import { newLayerRows } from "./layer-rows.ts";
import { mostLength } from "./table.ts";

/** What the cache does when a prefill is over. */
export interface PrefillEnding {
  /** All layers are submitted: take over what the GPU made of them. */
  taken(): Promise<void>;
  /** It is over, in one way or the other. */
  closed(): void;
}

/** A prefill of a compressed cache: each layer is staged, then compressed before the next one comes. */
export class CompressedPrefill implements CachePrefill {
  readonly stats: CachePrefill["stats"];
  readonly #run: Compression;
  readonly #parts: CompressionParts;
  readonly #ending: PrefillEnding;
  /** Where the GPU alone knows how a layer's rows are shared out among its heads. */
  readonly #reader: HeadReader | undefined;
  #layersDone = 0;

  private constructor(
    run: Compression,
    parts: CompressionParts,
    ending: PrefillEnding,
    reader: HeadReader | undefined,
  ) {
    this.#run = run;
    this.#parts = parts;
    this.#ending = ending;
    this.#reader = reader;
    const { scratch, newTokens } = run.work;
    const from = newTokens - parts.options.windowSize;
    this.stats = run.hasStats ? { buffer: scratch.stats, from } : undefined;
  }

  /** @throws GpuOutOfMemoryError; then the run is the caller's to cancel. */
  static async create(
    run: Compression,
    parts: CompressionParts,
    ending: PrefillEnding,
  ): Promise<CompressedPrefill> {
    const { gpu, shape, options, rows } = parts;
    const splits = options.policy.heads === "adaptive" && run.work.plan.evicts;
    const reader = splits
      ? await gpu.allocating("heads read-back", 0, () => new HeadReader(gpu, shape, rows.table))
      : undefined;
    return new CompressedPrefill(run, parts, ending, reader);
  }

  /** Tokens whose rows are being made. */
  get newTokens(): number {
    return this.#run.work.newTokens;
  }

  /** A layer that is compressed already; undefined for others. */
  layer(layer: number): LayerRows | undefined {
    if (layer >= this.#layersDone) return undefined;
    return newLayerRows(this.#parts, this.#run.work.plan, layer, this.#reader?.heads(layer));
  }

  staged(): StagedRegion {
    const { newTokens, scratch } = this.#run.work;
    const { stagedKeys: keys, stagedValues: values } = scratch;
    return { keys, values, offset: 0, stride: newTokens, rows: newTokens };
  }

  keptRows(layer: number): number {
    return mostLength(this.#parts.rows.heads(layer));
  }

  track(layer: number): RowTracking {
    const { queries, options } = this.#parts;
    const { windowSize } = options;
    return { queries, layer, windowSize, from: Math.max(this.newTokens - windowSize, 0) };
  }

  takeLayer(list: DispatchList, layer: number): Promise<void> {
    return this.#run.record(list, layer);
  }

  layerSubmitted(): void {
    this.#run.submitted();
    this.#reader?.fetch(this.#layersDone);
    this.#layersDone++;
  }

  async end(): Promise<void> {
    await this.#ending.taken();
    this.#close();
  }

  cancel(): void {
    this.#close();
    this.#run.cancel();
  }

  #close(): void {
    this.#reader?.destroy();
    this.#ending.closed();
  }
}
