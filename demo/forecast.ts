import { type Engine, LlmError } from "../src/index.ts";
import { longestPrompt, type MemoryPlan, type ModelShape, planMemory } from "../src/profile.ts";
import type { ChatState } from "./chat-state.ts";
import { createTurn, type Question, toMessages } from "./conversation.ts";
import { DEFAULT_MODEL } from "./default-model.ts";
import { formatCount, formatMiB, formatTokens } from "./format.ts";
import { type Settings, toCacheOptions } from "./settings.ts";

/** GPU memory of a first prompt, before it is read: by purpose, as the engine allocates it. */
export interface Forecast {
  readonly tokens: number;
  readonly plan: MemoryPlan;
}

/** A forecast, or why there can be none with these settings. */
export type ForecastResult = Forecast | { readonly problem: string };

/** A prompt as long as this is what the page foretells before it knows one. */
const TYPICAL_TOKENS = 2048;

/** What the model on offer would take, with a prompt of a few pages. */
export function forecastOffer(settings: Settings): ForecastResult {
  return forecast(DEFAULT_MODEL.shape, DEFAULT_MODEL.weights, TYPICAL_TOKENS, settings);
}

/** The layers of a prompt of a few pages, in the model that is loaded or on offer; undefined where there is no plan. */
export function typicalLayers({
  model,
  settings,
}: Pick<ChatState, "model" | "settings">):
  (Pick<MemoryPlan, "layers"> & { tokens: number }) | undefined {
  const shape = model.step === "ready" ? model.engine.config : DEFAULT_MODEL.shape;
  const result = forecast(shape, 0, TYPICAL_TOKENS, settings);
  return "problem" in result ? undefined : { tokens: result.tokens, layers: result.plan.layers };
}

/**
 * What sending a question will cost: all GPU memory where everything is read, else what is left to read. Undefined where the conversation can't be put into a prompt: sending it says why.
 */
export async function foretellQuestion(
  engine: Pick<Engine, "config" | "memory" | "previewPrompt">,
  { turns, settings }: Pick<ChatState, "turns" | "settings">,
  question: Question,
): Promise<string | undefined> {
  const messages = toMessages([...turns, createTurn(0, question)], settings.systemPrompt);
  try {
    const { tokenIds, cachedTokens } = await engine.previewPrompt(messages);
    const tokens = tokenIds.length;
    const { contextLength } = engine.config;
    if (tokens >= contextLength) {
      return `${formatTokens(tokens)}, but the context holds ${formatCount(contextLength)}.`;
    }
    if (turns.length === 0 || settings.followUp === "read-again") {
      return forecastText(forecast(engine.config, engine.memory().weights, tokens, settings));
    }
    return `Will read ${formatTokens(tokens - cachedTokens)}; ${formatCount(cachedTokens)} are in the cache.`;
  } catch (error) {
    if (error instanceof LlmError) return undefined;
    throw error;
  }
}

/** Most tokens of a prompt that the model on offer reads within so many bytes; 0: none, or not even the weights. */
export function longestOffered(settings: Settings, bytes: number): number {
  const { shape: model, weights } = DEFAULT_MODEL;
  const cache = toCacheOptions(settings, model.numLayers);
  return longestPrompt({ model, weights, cache }, bytes);
}

/** `Will read 1,204 tokens: KV cache 9.8 MiB (full: 28.1 MiB), all GPU memory 105.0 MiB, 118.3 MiB at its peak.` */
export function forecastText(result: ForecastResult): string {
  if ("problem" in result) return result.problem;
  const { tokens, plan } = result;
  const { kv, total, peak, evicts } = plan;
  const cache = evicts
    ? `KV cache ${formatMiB(kv.final)} (full: ${formatMiB(kv.full)})`
    : `KV cache ${formatMiB(kv.final)}, nothing to evict`;
  return (
    `Will read ${formatTokens(tokens)}: ${cache}, ` +
    `all GPU memory ${formatMiB(total)}, ${formatMiB(peak)} at its peak.`
  );
}

/** Whether so much memory is enough, in words. */
export function fitsText(settings: Settings, bytes: number): string {
  const tokens = longestOffered(settings, bytes);
  if (tokens === 0) return "Doesn’t fit.";
  const { contextLength } = DEFAULT_MODEL.shape;
  const most = `${formatCount(tokens)} tokens`;
  return tokens >= contextLength
    ? `Fits, with prompts up to the whole context of ${most}.`
    : `Fits, with prompts of up to ${most}.`;
}

function forecast(
  model: ModelShape,
  weights: number | "q4",
  tokens: number,
  settings: Settings,
): ForecastResult {
  try {
    const cache = toCacheOptions(settings, model.numLayers);
    return { tokens, plan: planMemory({ model, weights, tokens, cache }) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
