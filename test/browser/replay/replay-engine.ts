import { GenerationStream } from "../../../src/engine/generation.ts";
import type {
  CacheOptions,
  Engine,
  GenerateOptions,
  GenerateResult,
  MemoryReport,
  Piece,
  Prompt,
} from "../../../src/index.ts";
import { MODEL_SHAPES, type MemoryPlan, planMemory } from "../../../src/profile.ts";
import type { ReplayedRun } from "./runs.ts";

const REPORTS_PER_LAYER = 8;

/** An answer with what Markdown has: prose, lists, emphasis, code. */
const ANSWER = [
  "## What a terrace keeps\n\nA layer keeps the **rows** that the *window* looks at, and `evicts` the rest.\n\n",
  "1. Read the document, layer by layer.\n2. Rank its tokens.\n3. Keep the first of them.\n\n",
  "```ts\nfor (const layer of layers) {\n  compress(layer, budget); // fewer rows above\n}\n```\n\n",
  "- The lowest terrace is broad.\n- The highest one is small, and a [link](https://example.org) leads away.\n\n",
];
const WORDS = ANSWER.join("").match(/\s*\S+|\s+$/g) as string[];

/**
 * An engine without a GPU that does over again what a run did, in its own time: a prefill that
 * compresses layer by layer, then pieces of one token each at a steady rate. The pages can't tell.
 */
export class ReplayEngine implements Pick<
  Engine,
  | "config"
  | "adapter"
  | "kernelChoices"
  | "dispatchesPerToken"
  | "generate"
  | "memory"
  | "previewPrompt"
  | "keptPositions"
  | "setCache"
  | "save"
  | "restore"
  | "destroy"
> {
  readonly config = {
    ...MODEL_SHAPES[0],
    name: "replayed run",
  } as unknown as Engine["config"];
  readonly adapter = { vendor: "replay", features: [] } as unknown as Engine["adapter"];
  readonly kernelChoices = {};
  readonly dispatchesPerToken = 0;
  #compressed = 0;
  #tokens = 0;
  #promptTokens = 0;
  readonly #run: ReplayedRun;
  #cache: CacheOptions;
  #plan: MemoryPlan;

  constructor(run: ReplayedRun, cache: CacheOptions) {
    this.#run = run;
    this.#cache = cache;
    this.#plan = this.#planFor(run.promptTokens ?? 1);
  }

  #planFor(tokens: number): MemoryPlan {
    const model = MODEL_SHAPES[0] as (typeof MODEL_SHAPES)[number];
    return planMemory({ model, weights: "q4", tokens, cache: this.#cache });
  }

  #wordsOf(prompt: Prompt): string[] {
    const { promptTokens } = this.#run;
    if (promptTokens !== undefined) {
      return Array.from({ length: promptTokens }, (_, i) => ` word${i}`);
    }
    if (typeof prompt === "string") return wordsIn(prompt);
    return prompt.flatMap((part) =>
      typeof part === "number" ? wordOf(part) : wordsIn(` ${part.content}`),
    );
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): ReturnType<Engine["generate"]> {
    return new GenerationStream(this.#generate(prompt, options));
  }

  async *#generate(
    prompt: Prompt,
    { onPrefill, signal, maxTokens = Infinity }: GenerateOptions,
  ): AsyncGenerator<Piece, GenerateResult> {
    const { readPerSecond, writePerSecond } = this.#run;
    const promptTokens = this.#wordsOf(prompt).length;
    const answerTokens = Math.min(this.#run.answerTokens, maxTokens);
    this.#plan = this.#planFor(promptTokens);
    this.#promptTokens = promptTokens;
    const numLayers = this.#plan.layers.length;
    const began = performance.now();
    const steps = numLayers * REPORTS_PER_LAYER;
    for (let step = 1; step <= steps; step++) {
      await until(began + (1000 * promptTokens * step) / steps / readPerSecond, signal);
      this.#compressed = Math.floor(step / REPORTS_PER_LAYER);
      onPrefill?.({
        doneTokens: Math.floor((promptTokens * step) / steps),
        totalTokens: promptTokens,
      });
    }
    const prefillMs = performance.now() - began;
    const tokenIds: number[] = [];
    for (let id = 0; id < answerTokens; id++) {
      await until(began + prefillMs + (id * 1000) / writePerSecond, signal);
      this.#tokens = promptTokens + id;
      tokenIds.push(id);
      yield { text: wordOf(id), tokenIds: [id] };
    }
    const decodeMs = performance.now() - began - prefillMs;
    const { kv } = this.memory();
    return {
      text: tokenIds.map(wordOf).join(""),
      tokenIds,
      promptTokenIds: Array.from({ length: promptTokens }, (_, i) => i),
      finishReason: answerTokens < maxTokens ? "stop" : "length",
      usage: { promptTokens, cachedTokens: 0, completionTokens: answerTokens },
      timings: {
        prefillTokens: promptTokens,
        prefillMs,
        prefillTokensPerSecond: promptTokens / (prefillMs / 1000),
        decodeTokens: answerTokens - 1,
        decodeMs,
        decodeTokensPerSecond: (answerTokens - 1) / (decodeMs / 1000),
        timeToFirstTokenMs: prefillMs,
      },
      memory: this.memory(),
      cache: {
        policy: this.#cache.policy ?? "full",
        kvDtype: "f16",
        tokens: this.#tokens,
        evicted: this.#plan.evicts,
        passes: 1,
        bytes: kv.allocated,
        fullBytes: kv.full,
        layers: kv.layers,
      },
    };
  }

  memory(): MemoryReport {
    const { weights, activations, kv } = this.#plan;
    const added = Math.max(this.#tokens - this.#promptTokens, 0);
    const layers = this.#plan.layers.map((layer, at) => {
      const isThere = at < this.#compressed;
      const now = isThere ? layer : { ...layer, length: 0, capacity: 0, bytes: 0 };
      const length = isThere ? Math.min(layer.length + added, layer.capacity) : 0;
      return { ...now, length, heads: [], keptMass: isThere ? [0.9, 0.8, 0.7] : [] };
    });
    const allocated = layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const total = weights + activations + allocated;
    const { full, peak } = kv;
    return {
      weights,
      kv: { tokens: this.#tokens, allocated, full, saved: full - allocated, peak, layers },
      activations,
      staging: 0,
      uniforms: 0,
      total,
      peak: total,
      hostBytes: 0,
      peaks: { weights, kv: peak, activations, staging: 0, uniforms: 0 },
    };
  }

  async previewPrompt(prompt: Prompt): ReturnType<Engine["previewPrompt"]> {
    const texts = this.#wordsOf(prompt);
    return { tokenIds: texts.map((_, id) => id), texts, cachedTokens: 0 };
  }

  async keptPositions(): Promise<number[][][]> {
    return this.#plan.layers.map(({ length }) =>
      [0, 1, 2].map(() =>
        Array.from({ length }, (_, i) => Math.floor((i * this.#promptTokens) / length)),
      ),
    );
  }

  async setCache(cache: CacheOptions): Promise<void> {
    this.#cache = cache;
    [this.#compressed, this.#tokens] = [0, 0];
  }

  async save(): Promise<Blob> {
    return new Blob([JSON.stringify([this.#promptTokens, this.#compressed, this.#tokens])]);
  }

  async restore(saved: Blob): ReturnType<Engine["restore"]> {
    const [promptTokens, compressed, tokens] = JSON.parse(await saved.text()) as [
      number,
      number,
      number,
    ];
    this.#plan = this.#planFor(promptTokens);
    [this.#promptTokens, this.#compressed, this.#tokens] = [promptTokens, compressed, tokens];
    return { tokens, note: "" };
  }

  async destroy(): Promise<void> {}
}

const wordOf = (id: number): string => WORDS[id % WORDS.length] as string;

const wordsIn = (text: string): string[] => text.match(/\s*\S+|\s+$/g) ?? [];

/** Wait for a moment; at a late one go on at once, so that the rate stays. */
async function until(moment: number, signal: AbortSignal | undefined): Promise<void> {
  const left = moment - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  signal?.throwIfAborted();
}
