import {
  type CacheOptions,
  type Engine,
  GpuOutOfMemoryError,
  type MemoryReport,
  type Prompt,
} from "../src/index.ts";
import { type AnswerFigures, finalFigures, startAnswerClock } from "./answer-figures.ts";
import { toMessages, type Turn } from "./conversation.ts";
import { endsEngine } from "./problem.ts";
import { cacheText, type Settings, toCacheOptions, toSampling } from "./settings.ts";

/** One of the two answers. */
export interface ComparisonSide {
  /** `Full cache`, `PyramidKV, 256 tokens a layer` */
  readonly label: string;
  readonly cache: CacheOptions;
  state: "waiting" | "reading" | "writing" | "done";
  text: string;
  tokenIds: number[];
  figures: AnswerFigures;
  /** Undefined until the answer is complete. */
  kv: Pick<MemoryReport["kv"], "allocated" | "peak"> | undefined;
}

/** How far two answers go together, in tokens, and the text of these. */
export interface Agreement {
  readonly tokens: number;
  readonly text: string;
  /** Both are the same to their end. */
  readonly whole: boolean;
}

/** The same prompt answered by a full cache and by the compressed one, one after the other. */
export interface Comparison {
  readonly turn: Turn;
  readonly sides: readonly [full: ComparisonSide, compressed: ComparisonSide];
  state: "running" | "done" | "stopped" | "failed";
  agreement: Agreement | undefined;
  /** Why it failed. */
  problem: string | undefined;
}

/** A comparison that waits to begin. */
export function createComparison(turn: Turn, settings: Settings, numLayers: number): Comparison {
  const { kvDtype } = settings;
  const compressed = toCacheOptions(settings, numLayers);
  return {
    turn,
    sides: [side("Full cache", { policy: "full", kvDtype }), side(cacheText(settings), compressed)],
    state: "running",
    agreement: undefined,
    problem: undefined,
  };
}

function side(label: string, cache: CacheOptions): ComparisonSide {
  return { label, cache, state: "waiting", text: "", tokenIds: [], figures: {}, kv: undefined };
}

export interface CompareOptions {
  readonly turns: readonly Turn[];
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly maxTokens: number | undefined;
  readonly onChange: () => void;
}

/**
 * Answer the last of `turns` twice, each time from an empty cache. The conversation stays as it is,
 * and the cache's options are the settings' again, whatever ends this.
 * @throws what ended the engine with it
 */
export async function compareAnswers(
  engine: Engine,
  comparison: Comparison,
  { turns, settings, signal, maxTokens, onChange }: CompareOptions,
): Promise<void> {
  const messages = toMessages(turns, settings.systemPrompt);
  const options = {
    ...toSampling(settings),
    signal,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
  const [full, compressed] = comparison.sides;
  try {
    for (const one of comparison.sides) {
      signal.throwIfAborted();
      await engine.setCache(one.cache);
      await answerSide(engine, one, messages, options, onChange);
    }
    comparison.agreement = await agree(engine, full.tokenIds, compressed.tokenIds);
    comparison.state = "done";
  } catch (error) {
    comparison.state = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) {
      comparison.problem = error instanceof Error ? error.message : String(error);
      // A full cache that doesn't fit is no accident: it is what the other one is for.
      const isTooLarge = error instanceof GpuOutOfMemoryError && full.state !== "done";
      if (endsEngine(error) && !isTooLarge) throw error;
    }
    await engine.setCache(compressed.cache);
  } finally {
    onChange();
  }
}

async function answerSide(
  engine: Engine,
  one: ComparisonSide,
  prompt: Prompt,
  options: Parameters<Engine["generate"]>[1],
  onChange: () => void,
): Promise<void> {
  one.state = "reading";
  onChange();
  const clock = startAnswerClock(performance.now());
  const generation = engine.generate(prompt, {
    ...options,
    onPrefill(progress) {
      one.figures = clock.prefilled(progress, performance.now());
      onChange();
    },
  });
  for await (const piece of generation) {
    one.state = "writing";
    one.text += piece.text;
    one.tokenIds.push(...piece.tokenIds);
    one.figures = clock.piece(piece, performance.now());
    onChange();
  }
  const result = await generation.result;
  one.figures = finalFigures(result);
  one.kv = result.memory.kv;
  one.state = "done";
  onChange();
}

/** Where two answers part: by their token ids, not by how these are spelled. */
export function commonTokens(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}

async function agree(
  engine: Pick<Engine, "previewPrompt">,
  a: readonly number[],
  b: readonly number[],
): Promise<Agreement> {
  const tokens = commonTokens(a, b);
  const { texts } = tokens === 0 ? { texts: [] } : await engine.previewPrompt(a.slice(0, tokens));
  return { tokens, text: texts.join(""), whole: tokens === a.length && tokens === b.length };
}
