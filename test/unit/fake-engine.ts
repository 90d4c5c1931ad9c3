import type {
  Engine,
  GenerateOptions,
  GenerateResult,
  MemoryReport,
  Piece,
  Prompt,
  ScoreOptions,
  StepLogprobs,
} from "../../src/index.ts";
import { GenerationStream } from "../../src/engine/generation.ts";

/** An engine that writes numbers: for what stands between an app and an engine. */
export class FakeEngine implements Engine {
  readonly config = { numLayers: 2, contextLength: 100 } as Engine["config"];
  readonly adapter = { vendor: "nobody", features: ["a"] } as unknown as Engine["adapter"];
  readonly kernelChoices = { linear: "rows" };
  dispatchesPerToken = 0;
  /** Bytes of the cache: one for each token. */
  tokens = 0;
  /** Pieces that were asked for. */
  pulled = 0;
  /** How the last answer ended. */
  ended: "no" | "whole" | "stopped" = "no";
  /** What was called, and with what. */
  readonly calls: unknown[] = [];
  /** The options of the last call. */
  options: Partial<GenerateOptions & ScoreOptions> = {};
  /** Thrown by the next call. */
  failure: unknown;

  generate(prompt: Prompt, options: GenerateOptions = {}): ReturnType<Engine["generate"]> {
    return new GenerationStream(this.#generate(prompt, options));
  }

  async *#generate(
    prompt: Prompt,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, GenerateResult> {
    this.#called("generate", prompt, options);
    const { maxTokens = 3, onPrefill, signal } = options;
    this.ended = "stopped";
    this.dispatchesPerToken = 17;
    this.tokens += 10;
    onPrefill?.({ doneTokens: 10, totalTokens: 10 });
    const tokenIds: number[] = [];
    const logprobs: StepLogprobs[] = [];
    for (let id = 0; id < maxTokens; id++) {
      await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
      this.pulled++;
      this.tokens++;
      tokenIds.push(id);
      const told = options.logprobs === undefined ? [] : [logprobsOf(id, options.logprobs)];
      logprobs.push(...told);
      const more = options.logprobs === undefined ? {} : { logprobs: told };
      yield { text: `${id} `, tokenIds: [id], ...more };
    }
    this.ended = "whole";
    const text = tokenIds.map((id) => `${id} `).join("");
    return {
      text,
      tokenIds,
      ...(options.logprobs === undefined ? {} : { logprobs }),
      promptTokenIds: [],
      finishReason: "length",
      usage: { promptTokens: 10, cachedTokens: 4, completionTokens: tokenIds.length },
      timings: {
        prefillTokens: 6,
        prefillMs: 3,
        prefillTokensPerSecond: 2000,
        decodeTokens: tokenIds.length,
        decodeMs: 10,
        decodeTokensPerSecond: 100,
        timeToFirstTokenMs: 5,
      },
      memory: this.memory(),
      cache: { policy: "pyramidkv", evicted: true } as GenerateResult["cache"],
    };
  }

  async previewPrompt(
    ...args: Parameters<Engine["previewPrompt"]>
  ): ReturnType<Engine["previewPrompt"]> {
    return this.#called("previewPrompt", ...args) as Awaited<ReturnType<Engine["previewPrompt"]>>;
  }

  async score(...args: Parameters<Engine["score"]>): ReturnType<Engine["score"]> {
    return this.#called("score", ...args) as Awaited<ReturnType<Engine["score"]>>;
  }

  async setCache(...args: Parameters<Engine["setCache"]>): Promise<void> {
    this.#called("setCache", ...args);
  }

  async read(...args: Parameters<Engine["read"]>): ReturnType<Engine["read"]> {
    return this.#called("read", ...args) as unknown as Awaited<ReturnType<Engine["read"]>>;
  }

  async save(...args: Parameters<Engine["save"]>): Promise<Blob> {
    return this.#called("save", ...args) as unknown as Blob;
  }

  async restore(...args: Parameters<Engine["restore"]>): ReturnType<Engine["restore"]> {
    return this.#called("restore", ...args) as unknown as Awaited<ReturnType<Engine["restore"]>>;
  }

  async keptPositions(...args: Parameters<Engine["keptPositions"]>): Promise<number[][][]> {
    return this.#called("keptPositions", ...args) as unknown as number[][][];
  }

  async tokenScores(...args: Parameters<Engine["tokenScores"]>): ReturnType<Engine["tokenScores"]> {
    return this.#called("tokenScores", ...args) as unknown as [];
  }

  async trace(...args: Parameters<Engine["trace"]>): ReturnType<Engine["trace"]> {
    return this.#called("trace", ...args) as unknown as Awaited<ReturnType<Engine["trace"]>>;
  }

  async loadAllParts(...args: Parameters<Engine["loadAllParts"]>): Promise<void> {
    this.#called("loadAllParts", ...args);
  }

  async destroy(): Promise<void> {
    this.#called("destroy");
    this.tokens = 0;
  }

  memory(): MemoryReport {
    const kv = { allocated: this.tokens, full: 100, saved: 100 - this.tokens, peak: 99 };
    return { total: this.tokens, kv } as MemoryReport;
  }

  #called(name: string, ...args: unknown[]): unknown {
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    this.calls.push([name, ...args]);
    this.options = args.at(-1) ?? {};
    return { called: name };
  }
}

/** A number's probabilities: the lower, the better; 0 is a control token, and 9 impossible. */
function logprobsOf(id: number, top: number): StepLogprobs {
  const token = (tokenId: number) => ({
    tokenId,
    text: `${tokenId} `,
    bytes: tokenId === 0 ? [] : [48 + tokenId, 32],
    logprob: tokenId === 9 ? -Infinity : -tokenId,
  });
  return { ...token(id), top: Array.from({ length: top }, (_, i) => token(i)) };
}
