import type { GgufValue } from "../../src/formats/gguf.ts";
import type { TinyTokensGolden } from "../golden/token-goldens.ts";

/** The GGUF metadata of the small vocabulary, with some keys changed, or taken away by `undefined`. */
export function tinyMetadata(
  golden: TinyTokensGolden,
  changes: Readonly<Record<string, GgufValue | undefined>> = {},
): ReadonlyMap<string, GgufValue> {
  const texts = golden.vocabulary.map(({ text }) => text);
  const metadata = new Map<string, GgufValue>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "smollm"],
    ["tokenizer.ggml.tokens", texts],
    ["tokenizer.ggml.token_type", Int32Array.from(golden.vocabulary, ({ kind }) => kind)],
    ["tokenizer.ggml.merges", golden.merges],
    ["tokenizer.ggml.bos_token_id", texts.indexOf("<|endoftext|>")],
    ["tokenizer.ggml.eos_token_id", texts.indexOf("<|im_end|>")],
  ]);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  return metadata;
}
