import { GenerationStream } from "../../../src/engine/generation.ts";
import type {
  Engine,
  GenerateOptions,
  GenerateResult,
  MemoryReport,
  Piece,
} from "../../../src/index.ts";
import { MODEL_SHAPES, type MemoryPlan, planMemory } from "../../../src/profile.ts";

/** The run that is replayed: SmolLM2's shape, a document, an answer of many pieces. */
export const REPLAY = { promptTokens: 3000, tokensPerSecond: 200, answerTokens: 800 } as const;

const CHUNKS_PER_LAYER = 8;
const PREFILL_STEP_MS = 4;

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
  readonly #plan: MemoryPlan = planMemory({
    model: MODEL_SHAPES[0] as (typeof MODEL_SHAPES)[number],
    weights: "q4",
    tokens: REPLAY.promptTokens,
    cache: { policy: "pyramidkv", budget: "12%" },
  });

  generate(_prompt: unknown, options: GenerateOptions = {}): ReturnType<Engine["generate"]> {
    return new GenerationStream(this.#generate(options));
  }

  async *#generate({ onPrefill, signal }: GenerateOptions): AsyncGenerator<Piece, GenerateResult> {
    const { promptTokens, tokensPerSecond, answerTokens } = REPLAY;
    const { layers } = this.#plan;
    const began = performance.now();
    const steps = layers.length * CHUNKS_PER_LAYER;
    for (let step = 1; step <= steps; step++) {
      await until(began + step * PREFILL_STEP_MS, signal);
      this.#compressed = Math.floor(step / CHUNKS_PER_LAYER);
      onPrefill?.({ doneTokens: (promptTokens * step) / steps, totalTokens: promptTokens });
    }
    const prefillMs = performance.now() - began;
    const tokenIds: number[] = [];
    for (let id = 0; id < answerTokens; id++) {
      await until(began + prefillMs + (id * 1000) / tokensPerSecond, signal);
      this.#tokens = promptTokens + id;
      tokenIds.push(id);
      yield { text: WORDS[id % WORDS.length] as string, tokenIds: [id] };
    }
    const decodeMs = performance.now() - began - prefillMs;
    return {
      text: tokenIds.map((id) => WORDS[id % WORDS.length]).join(""),
      tokenIds,
      promptTokenIds: Array.from({ length: promptTokens }, (_, i) => i),
      finishReason: "stop",
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
        policy: "pyramidkv",
        kvDtype: "f16",
        tokens: this.#tokens,
        evicted: true,
        passes: 1,
        layers: this.memory().kv.layers,
      },
    };
  }

  memory(): MemoryReport {
    const { weights, activations, kv } = this.#plan;
    const added = Math.max(this.#tokens - REPLAY.promptTokens, 0);
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

  async previewPrompt(): ReturnType<Engine["previewPrompt"]> {
    const ids = Array.from({ length: REPLAY.promptTokens }, (_, i) => i);
    return { tokenIds: ids, texts: ids.map((id) => ` word${id}`), cachedTokens: 0 };
  }

  async keptPositions(): Promise<number[][][]> {
    return this.#plan.layers.map(({ length }) =>
      [0, 1, 2].map((head) => Array.from({ length }, (_, i) => 3 * i + head)),
    );
  }

  async setCache(): Promise<void> {}

  async destroy(): Promise<void> {}
}

/** Wait for a moment; at a late one go on at once, so that the rate stays. */
async function until(moment: number, signal: AbortSignal | undefined): Promise<void> {
  const left = moment - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  signal?.throwIfAborted();
}
