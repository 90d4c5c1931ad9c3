import { createCache } from "../../src/cache/create-cache.ts";
import type { KvCache } from "../../src/cache/kv-cache.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import type { CachePlan } from "../../src/cache/scheduler.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { argmaxRows, type Divergence, Reference } from "./compare.ts";
import type { PolicyUnderTest } from "./configurations.ts";
import { type Document, documentTokens, type TextKind } from "./documents.ts";
import { GreedyAnswers } from "./greedy.ts";
import type { Model } from "./model.ts";
import { nextTokenLogits } from "./next-tokens.ts";
import { type Passkey, passkeyTokens } from "./passkey.ts";
import type { QualityPlan } from "./plan.ts";
import { TapedCache } from "./tape.ts";

/**
 * What follows on the compressed prompt.
 *
 * - `continuation`: the text itself;
 * - `agnostic`: a question and its answer, compressed before the question came;
 * - `aware`: the answer, compressed with the question.
 */
export type Task = "continuation" | "agnostic" | "aware";

/** One policy and budget on one document. */
export interface DocumentRow extends Divergence {
  readonly document: string;
  readonly kind: TextKind;
  readonly task: Task;
  readonly policy: string;
  /** Per cent of the full cache. */
  readonly budget: number;
  /** Distributions that were compared: fewer than planned where the answer is short. */
  readonly rows: number;
  /** Bytes of the cache after the compression, spare rows and tables included, and at its peak. */
  readonly bytes: CachePlan["bytes"];
  /** Share of the window's attention that the kept rows carry, mean over layers and heads; where it is measured. */
  readonly keptMass?: number;
}

export interface PasskeyRow {
  readonly document: string;
  readonly depth: number;
  readonly task: "agnostic" | "aware";
  readonly policy: string;
  readonly budget: number;
  /** Every digit is the likeliest token, as greedy decoding would choose it. */
  readonly found: boolean;
  readonly digitsFound: number;
}

export interface SpeedRow {
  readonly policy: string;
  readonly budget: number;
  readonly tokensPerSecond: number;
  readonly cpuSecondsPerToken: number | undefined;
}

/** Measures policies on one model; every prompt is prefilled once for all of them. */
export class QualityBench {
  readonly #model: Model;
  readonly #plan: QualityPlan;
  readonly #taped: TapedCache;
  readonly #greedy: GreedyAnswers;

  private constructor(model: Model, plan: QualityPlan, taped: TapedCache) {
    this.#model = model;
    this.#plan = plan;
    this.#taped = taped;
    this.#greedy = new GreedyAnswers(model.runtime);
  }

  static async open(model: Model, plan: QualityPlan): Promise<QualityBench> {
    const { gpu, cache } = model.runtime;
    const taped = await TapedCache.open(gpu, cache.shape);
    return new QualityBench(model, plan, taped);
  }

  /** All policies and budgets on one document. */
  async document(document: Document): Promise<DocumentRow[]> {
    const { tokenizer, runtime } = this.#model;
    const { promptTokens, scoredTokens } = this.#plan;
    const { prompt, continuation, question } = documentTokens(
      tokenizer,
      document,
      promptTokens,
      scoredTokens + 1,
    );
    await this.#tapePrompt(prompt);
    const follows = await this.#reference([], continuation);
    const answer = await this.#tapeQuestion(question, scoredTokens + 1);
    const answers = await this.#reference([], answer);
    const rows: DocumentRow[] = [];
    await this.#forEach(this.#plan.policies, async (cache, policy, budget) => {
      const common = { document: document.name, kind: document.kind, policy, budget };
      const add = async (task: Task, lead: readonly number[], known: Known): Promise<void> => {
        const { tokens } = cache;
        const logits = await nextTokenLogits(runtime, [...lead, ...known.read], known.read.length);
        await cache.cut(tokens);
        const divergence = known.reference.compare(logits, known.targets);
        rows.push({ ...common, task, rows: known.read.length, bytes, ...mass, ...divergence });
      };
      await this.#taped.replay(cache, 1);
      let { bytes } = cache.plan as CachePlan;
      let mass = keptMassOf(cache);
      await add("continuation", [], follows);
      await add("agnostic", question, answers);
      cache.clear();
      await this.#taped.replay(cache, 2);
      ({ bytes } = cache.plan as CachePlan);
      mass = keptMassOf(cache);
      await add("aware", [], answers);
    });
    return rows;
  }

  /** Whether the full cache finds a passkey, and if so, which policies and budgets do. */
  async passkey(passkey: Passkey): Promise<PasskeyRow[]> {
    const { tokenizer, runtime } = this.#model;
    const { depth, document } = passkey;
    const tokens = passkeyTokens(tokenizer, passkey, this.#plan.promptTokens);
    const { prompt, question, lead, digits } = tokens;
    const read = [...lead, ...digits.slice(0, -1)];
    const find = async (before: readonly number[]): Promise<number> => {
      const logits = await nextTokenLogits(runtime, [...before, ...read], digits.length);
      const likeliest = argmaxRows(logits, runtime.config.vocabSize);
      return digits.filter((digit, i) => digit === likeliest[i]).length;
    };
    const rows: PasskeyRow[] = [];
    const add = (task: PasskeyRow["task"], policy: string, budget: number, count: number): void => {
      const found = count === digits.length;
      const digitsFound = count / digits.length;
      rows.push({ document: document.name, depth, task, policy, budget, found, digitsFound });
    };
    await this.#tapePrompt(prompt);
    await this.#tapeQuestion(question, 0);
    const known = await find([]);
    add("agnostic", "full", 100, known);
    add("aware", "full", 100, known);
    if (known < digits.length) return rows;
    await this.#forEach(this.#plan.passkeyPolicies, async (cache, policy, budget) => {
      await this.#taped.replay(cache, 1);
      add("agnostic", policy, budget, await find(question));
      cache.clear();
      await this.#taped.replay(cache, 2);
      add("aware", policy, budget, await find([]));
    });
    return rows;
  }

  /** Decode speed of every policy and budget after a document, each next to the full cache. */
  async speed(document: Document): Promise<SpeedRow[]> {
    const { tokenizer, runtime } = this.#model;
    const { promptTokens, decodedTokens, policies } = this.#plan;
    const { prompt, question } = documentTokens(tokenizer, document, promptTokens, 0);
    await this.#tapePrompt(prompt);
    const rows: SpeedRow[] = [];
    const decode = async (policy: string, budget: number): Promise<void> => {
      const tokens = runtime.cache.tokens;
      const { tokensPerSecond, cpuSecondsPerToken } = await this.#greedy.answer(
        question,
        decodedTokens,
        [],
      );
      runtime.cache.settle(tokens, true);
      rows.push({ policy, budget, tokensPerSecond, cpuSecondsPerToken });
    };
    await this.#forEach(policies, async (cache, policy, budget) => {
      await this.#taped.replay(cache, 1);
      await decode(policy, budget);
      runtime.cache = this.#taped;
      await decode(`full after ${policy}`, budget);
    });
    return rows;
  }

  destroy(): void {
    this.#greedy.destroy();
    this.#taped.destroy();
  }

  /** Read a prompt into the full cache, and tape it. */
  async #tapePrompt(prompt: readonly number[]): Promise<void> {
    const { runtime } = this.#model;
    this.#taped.clear();
    runtime.cache = this.#taped;
    await this.#taped.tape(() => this.#read(prompt));
  }

  async #read(tokenIds: readonly number[]): Promise<void> {
    const promptTokens = this.#taped.tokens + tokenIds.length;
    const options = { promptTokens, evict: false };
    await prefill(this.#model.runtime, Uint32Array.from(tokenIds), async () => {}, options);
  }

  /** Read a question after it, tape it as well, and answer it with up to `count` tokens. */
  async #tapeQuestion(question: readonly number[], count: number): Promise<readonly number[]> {
    const { tokenizer } = this.#model;
    let tokens: readonly number[] = [];
    await this.#taped.tape(async () => {
      if (count === 0) return this.#read(question);
      const answer = await this.#greedy.answer(question, count, tokenizer.eosTokenIds);
      tokens = answer.tokenIds;
    });
    return tokens;
  }

  /** What the full cache says to tokens that follow what it has; it is left as it was. */
  async #reference(lead: readonly number[], tokenIds: readonly number[]): Promise<Known> {
    const { runtime } = this.#model;
    const read = tokenIds.slice(0, -1);
    const seen = this.#taped.tokens;
    const logits = await nextTokenLogits(runtime, [...lead, ...read], read.length);
    await this.#taped.cut(seen);
    const reference = new Reference(logits, runtime.config.vocabSize);
    return { read, targets: tokenIds.slice(1), reference };
  }

  /** Run `work` with an empty cache of every policy and budget, which is the runtime's meanwhile. */
  async #forEach(
    policies: readonly PolicyUnderTest[],
    work: (cache: KvCache, policy: string, budget: number) => Promise<void>,
  ): Promise<void> {
    const { runtime } = this.#model;
    const { shape } = this.#taped;
    for (const budget of this.#plan.budgets) {
      for (const { label, options } of policies) {
        const given = { ...options, budget: `${budget}%`, kvDtype: shape.dtype };
        const resolved = resolveCacheOptions(given, shape.numLayers);
        const cache = await createCache(runtime.gpu, shape, resolved);
        runtime.cache = cache;
        try {
          await work(cache, label, budget);
        } finally {
          runtime.cache = this.#taped;
          cache.destroy();
        }
      }
    }
  }
}

function keptMassOf(cache: KvCache): Pick<DocumentRow, "keptMass"> {
  const masses = cache.layers().flatMap(({ keptMass }) => keptMass);
  if (masses.length === 0) return {};
  return { keptMass: masses.reduce((sum, mass) => sum + mass, 0) / masses.length };
}

/** Tokens to be read, the ones that follow each, and what the full cache thinks of them. */
interface Known {
  readonly read: readonly number[];
  readonly targets: readonly number[];
  readonly reference: Reference;
}
