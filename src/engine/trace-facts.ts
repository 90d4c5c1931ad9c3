import type { KvCache } from "../cache/kv-cache.ts";
import type { ModelConfig } from "../model/config.ts";
import type { RunTrace, TraceToken } from "../profile/trace.ts";
import { StreamingDetokenizer } from "../text/detokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AdapterSummary } from "./memory-types.ts";

/** What a trace says of the model, the GPU and the cache. */
export function traceFacts(
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
export function tokenTexts(tokenizer: Tokenizer, ids: readonly number[]): TraceToken[] {
  const detokenizer = new StreamingDetokenizer(tokenizer);
  return ids.map((id) => ({ id, text: detokenizer.push(id) }));
}
