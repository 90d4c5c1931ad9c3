import type { KvShape } from "./layout.ts";
import { asWords, type RowsGpu } from "./read-back.ts";
import type { TableEntry } from "./table.ts";

/** How a KV head ranked a token when its layer was last compressed. */
export interface TokenScore {
  /**
   * What it was ranked by, higher stays; smoothed where the policy smooths. Left out for the window,
   * which stays whatever its score.
   */
  readonly score?: number;
  /** 1 is the highest; of equal ones the lower position goes first. */
  readonly rank: number;
  /** Tokens that were ranked. */
  readonly of: number;
}

/** `[layer][KV head]`; null where the head did not rank the token: evicted before, come later, or nothing to evict. */
export type TokenScores = readonly (readonly (TokenScore | null)[])[];

/** The candidates of one compression: the rows that there were, then new ones. */
export interface Candidates {
  /** The layer's rows before, per KV head. */
  readonly heads: readonly TableEntry[];
  readonly newTokens: number;
  /** Position of the first new one. */
  readonly firstPosition: number;
  /** Elements from one head's scores to the next one's. */
  readonly stride: number;
}

interface LayerScores extends Candidates {
  /** f32 scores of each head's candidates, head after head, then the u32 positions of the rows before. */
  readonly copy: GPUBuffer;
}

/** Scores from here on are those of the window (`SCORE_ALWAYS`). */
const ALWAYS = 2.9e38;

/** Copies of the scores of the last compression, on the GPU until somebody asks. */
export class KeptScores {
  readonly #gpu: RowsGpu;
  readonly #layers: (LayerScores | undefined)[];
  /** Made room for, and not yet copied. */
  #reserved: LayerScores | undefined;
  #tokens = Infinity;

  readonly #nowhere: readonly null[];

  constructor(gpu: RowsGpu, { numLayers, numKvHeads }: KvShape) {
    this.#gpu = gpu;
    this.#nowhere = Array<null>(numKvHeads).fill(null);
    this.#layers = Array<undefined>(numLayers).fill(undefined);
  }

  /** Make room for the scores of a layer that is about to be compressed. @throws GpuOutOfMemoryError */
  async reserve(layer: number, candidates: Candidates): Promise<void> {
    this.drop(layer);
    const { heads, newTokens } = candidates;
    const words = heads.reduce((sum, [, length]) => sum + 2 * length + newTokens, 0);
    const copy = await this.#gpu.allocating("copies of scores", 4 * words, () =>
      this.#gpu.buffers.create({
        label: `layer ${layer} scores`,
        purpose: "staging",
        bytes: 4 * words,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        layer,
      }),
    );
    this.#reserved = { ...candidates, copy };
  }

  /** The layer's compression is submitted, and what it worked with is still there: copy its scores. */
  take(layer: number, scores: GPUBuffer, positions: GPUBuffer | undefined): void {
    const reserved = this.#reserved;
    if (reserved === undefined) return;
    this.#reserved = undefined;
    this.#layers[layer] = reserved;
    this.#tokens = Infinity;
    const { heads, newTokens, stride, copy } = reserved;
    const encoder = this.#gpu.device.createCommandEncoder();
    let at = 0;
    const add = (from: GPUBuffer, first: number, words: number): void => {
      if (words > 0) encoder.copyBufferToBuffer(from, 4 * first, copy, at, 4 * words);
      at += 4 * words;
    };
    heads.forEach(([, length], head) => add(scores, head * stride, length + newTokens));
    for (const [offset, length] of heads) if (positions) add(positions, offset, length);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  /** Tokens from here on are others than those that were ranked. */
  cut(tokens: number): void {
    this.#tokens = Math.min(this.#tokens, tokens);
  }

  /** Nothing was ranked in a layer, or it is ranked anew. */
  drop(layer: number): void {
    const copy = this.#layers[layer]?.copy;
    if (copy !== undefined) this.#gpu.buffers.destroy(copy);
    this.#layers[layer] = undefined;
  }

  clear(): void {
    this.#layers.forEach((_, layer) => this.drop(layer));
    if (this.#reserved !== undefined) this.#gpu.buffers.destroy(this.#reserved.copy);
    this.#reserved = undefined;
  }

  /** How a token ranked in each layer and head. Nothing may be compressed meanwhile. */
  of(position: number): Promise<TokenScores> {
    return Promise.all(this.#layers.map((layer) => this.#ranks(layer, position)));
  }

  async #ranks(
    layer: LayerScores | undefined,
    position: number,
  ): Promise<readonly (TokenScore | null)[]> {
    if (layer === undefined || position >= this.#tokens) return this.#nowhere;
    const { heads, newTokens, firstPosition, copy } = layer;
    await this.#gpu.settled(copy.mapAsync(GPUMapMode.READ));
    const bytes = new Uint8Array(copy.getMappedRange()).slice();
    copy.unmap();
    const [floats, words] = [asWords(bytes, Float32Array), asWords(bytes, Uint32Array)];
    let first = 0;
    let before = heads.reduce((sum, [, length]) => sum + length + newTokens, 0);
    return heads.map(([, length]) => {
      const scores = floats.subarray(first, (first += length + newTokens));
      const old = words.subarray(before, (before += length));
      const isNew = position >= firstPosition;
      return rankOf(scores, isNew ? length + position - firstPosition : old.indexOf(position));
    });
  }
}

/** The rank of one of the scores, as selection has it. */
function rankOf(scores: Float32Array, at: number): TokenScore | null {
  const score = scores[at];
  if (score === undefined) return null;
  let rank = 1;
  scores.forEach((other, i) => {
    if (other > score || (other === score && i < at)) rank++;
  });
  const place = { rank, of: scores.length };
  return score >= ALWAYS ? place : { score, ...place };
}
