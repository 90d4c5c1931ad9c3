import type { KvCache } from "../cache/kv-cache.ts";
import type { ModelConfig } from "../model/config.ts";
import type { RunTrace, TraceToken } from "../profile/trace.ts";
import type { Tracer } from "../profile/tracer.ts";
import { StreamingDetokenizer } from "../text/detokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AdapterSummary } from "./memory-types.ts";
import type { EngineParts } from "./parts.ts";

/** What happened so far; between calls with the tokens seen, and the positions that `readKept` gives. */
export async function takeTrace(
  tracer: Tracer,
  adapter: AdapterSummary,
  { runtime, tokenizer, conversation }: EngineParts,
  readKept: (() => Promise<number[][][]>) | undefined,
): Promise<RunTrace> {
  const facts = traceFacts(runtime.config, adapter, runtime.cache);
  const { seen } = conversation;
  if (readKept === undefined || seen.length === 0) return tracer.take(facts);
  const kept = await readKept();
  return tracer.take({ ...facts, kept, tokens: tokenTexts(tokenizer, seen) });
}

/** What a trace says of the model, the GPU and the cache. */
function traceFacts(
  config: ModelConfig,
  adapter: AdapterSummary,
  { options }: KvCache,
): Pick<RunTrace, "model" | "adapter" | "cache"> {
  const { name, numLayers, numHeads, numKvHeads, headDim, contextLength } = config;
  const { description, vendor, architecture, isSoftware } = adapter;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter;
  const { policy, kvDtype, windowSize, numSinks } = options;
  const usesSinks = policy.scorer?.kind === "recency";
  return {
    model: { name, numLayers, numHeads, numKvHeads, headDim, contextLength },
    adapter: {
      name: description || [vendor, architecture].filter(Boolean).join(" ") || "GPU without a name",
      isSoftware,
      maxBufferSize,
      maxStorageBufferBindingSize,
    },
    cache: {
      policy: policy.name,
      kvDtype,
      windowSize: policy.scorer === null ? 0 : windowSize,
      numSinks: usesSinks ? numSinks : 0,
    },
  };
}

/** The text of each token; a character that is spread over several belongs to the last of them. */
function tokenTexts(tokenizer: Tokenizer, ids: readonly number[]): TraceToken[] {
  const detokenizer = new StreamingDetokenizer(tokenizer);
  return ids.map((id) => ({ id, text: detokenizer.push(id) }));
}
