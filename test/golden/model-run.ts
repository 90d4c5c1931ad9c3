import { afterAll } from "vitest";
import type { KvDtype } from "../../src/cache/layout.ts";
import { createCache } from "../../src/cache/create-cache.ts";
import { type CacheOptions, resolveCacheOptions } from "../../src/cache/options.ts";
import { openFileSource } from "../../src/cli/file-source.ts";
import { DecodeLoop } from "../../src/engine/decode-loop.ts";
import { Decoder } from "../../src/engine/decoder.ts";
import { LogprobBlocks } from "../../src/engine/logprob-blocks.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { createRuntime, type Runtime } from "../../src/engine/runtime.ts";
import { score } from "../../src/engine/score.ts";
import type { ScoreResult } from "../../src/index.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { openGpu } from "../../src/gpu/device.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { resolveSampling } from "../../src/sampling/options.ts";
import { gpu as webgpu } from "../gpu.ts";

/** How a model is to be loaded. */
export interface ModelRunOptions {
  readonly kvDtype: KvDtype;
  /** Takes the adapter for another kind, with these optional features at most: picks the kernels' variants. */
  readonly as?: { readonly isSoftware: boolean; readonly features: readonly GPUFeatureName[] };
}

/** What is to come after a context. */
export interface Continuations {
  /** Most tokens to choose greedily; 0 for none. */
  readonly greedySteps: number;
  readonly stopTokenIds?: readonly number[];
  /** Tokens that are given, and scored. */
  readonly scored?: readonly number[];
  /** Rows to allocate before anything runs. */
  readonly reserve?: number;
}

/** A model without the engine around it: takes token ids, and runs a context once for all that follows it. */
export class ModelRun {
  readonly runtime: Runtime;
  readonly #decoder: Decoder;
  readonly #loop: DecodeLoop;

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.#decoder = new Decoder(runtime);
    this.#loop = new DecodeLoop(runtime.gpu);
  }

  /** Loads a model on a device of its own, which is destroyed after the file's tests. */
  static async open(path: string, { kvDtype, as }: ModelRunOptions): Promise<ModelRun> {
    const opened = await openGpu({ gpu: webgpu, ...(as && { features: as.features }) });
    afterAll(() => opened.destroy());
    const gpu = as ? { ...opened, isSoftware: as.isSoftware } : opened;
    const source = await openFileSource(path);
    try {
      const file = await readGguf(source);
      const config = readModelConfig(file);
      const cache = resolveCacheOptions({ kvDtype }, config.numLayers);
      const runtime = await createRuntime(gpu, source, file, config, { cache, onBytes() {} });
      return new ModelRun(runtime);
    } finally {
      await source.close();
    }
  }

  /**
   * Greedy tokens after a context (a stop token is not among them), and log-probabilities of given ones. The context is
   * run once: the rows of the greedy tokens are dropped before the given tokens come.
   */
  async continue(
    context: readonly number[],
    { greedySteps, stopTokenIds = [], scored = [], reserve = 0 }: Continuations,
  ): Promise<{ tokenIds: number[]; logprobs: number[] }> {
    const { runtime } = this;
    const { cache } = runtime;
    const greedy = resolveSampling();
    cache.clear();
    if (reserve > 0) (await cache.beginPrefill(reserve, reserve, true)).cancel();
    const blocks =
      scored.length > 0 ? await LogprobBlocks.create(runtime, Uint32Array.from(scored)) : undefined;
    this.#decoder.begin(context, stopTokenIds);
    const options = { promptTokens: context.length, evict: true };
    await prefill(
      runtime,
      Uint32Array.from(context),
      async (end) => {
        const start = context.length - 1;
        this.#decoder.recordFirst(end.recorder, end.hidden, start, greedy);
        await end.submit();
        await blocks?.add(end, { start, tokens: 1 }, 0);
      },
      options,
    );
    const tokenIds = greedySteps > 0 ? await this.#decode(greedySteps, stopTokenIds) : [];
    cache.settle(context.length);
    const rest = Uint32Array.from(scored.slice(0, -1));
    if (blocks !== undefined && rest.length > 0) {
      const rows = { start: 0, tokens: rest.length };
      await prefill(runtime, rest, (end) => blocks.add(end, rows, 1), options);
    }
    const logprobs = (await blocks?.read()) ?? [];
    blocks?.destroy();
    return { tokenIds, logprobs };
  }

  /**
   * What the engine's `score` gives with a cache of its own, and what that keeps of the context: `[layer][KV head]`.
   * @param passTokens tokens that fit at a time, where fewer are to fit than do
   */
  async score(
    tokenIds: readonly number[],
    context: number,
    options: CacheOptions,
    passTokens: number = this.runtime.passTokens,
  ): Promise<{ result: ScoreResult; kept: number[][][] }> {
    const { gpu, config, cache: other } = this.runtime;
    const kvDtype = other.shape.dtype;
    const resolved = resolveCacheOptions({ kvDtype, ...options }, config.numLayers);
    const cache = await createCache(gpu, other.shape, resolved);
    const runtime = { ...this.runtime, cache, passTokens };
    const ids = Uint32Array.from(tokenIds);
    const result = await score(runtime, ids, { contextTokens: context }, () => {});
    const all = await Promise.all(
      Array.from({ length: config.numLayers }, (_, layer) => cache.keptPositions(layer)),
    );
    cache.destroy();
    const isContext = (position: number): boolean => position < context;
    return { result, kept: all.map((heads) => heads.map((at) => at.filter(isContext))) };
  }

  async #decode(maxTokens: number, stopTokenIds: readonly number[]): Promise<number[]> {
    const greedy = resolveSampling();
    this.#decoder.record(greedy);
    const tokenIds: number[] = [];
    for await (const { tokens: group } of this.#loop.run(this.#decoder.steps(greedy), maxTokens)) {
      const stop = group.findIndex((id) => stopTokenIds.includes(id));
      tokenIds.push(...(stop < 0 ? group : group.subarray(0, stop)));
      if (stop >= 0) break;
    }
    return tokenIds;
  }
}
