import { UnsupportedModelError } from "../errors.ts";
import {
  jsonBool,
  type JsonFields,
  jsonFields,
  jsonList,
  jsonString,
} from "../formats/json-fields.ts";
import { describeJson, isJsonObject } from "../formats/json-file.ts";
import { quote } from "../formats/quote.ts";
import { SPLITS } from "./pre-tokenizers.ts";

/** Split patterns as `tokenizer.json` files spell them, and our own for each. */
const PATTERNS: ReadonlyMap<string, RegExp> = new Map([
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    SPLITS.qwen2,
  ],
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    SPLITS.llama3,
  ],
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", SPLITS.gpt2],
]);

/**
 * The splits that the `pre_tokenizer` of a `tokenizer.json` asks for, in order. It must end in bytes (`ByteLevel`).
 * @throws UnsupportedModelError for a pre-tokenizer that isn't known: a near miss would change ids in silence;
 *   ModelFormatError.
 */
export function hfSplits(json: JsonFields): RegExp[] {
  const splits: RegExp[] = [];
  const steps = stepsOf(json);
  for (const [i, step] of steps.entries()) {
    const isLast = i === steps.length - 1;
    const type = jsonString(step, "type");
    if (isLast !== (type === "ByteLevel")) throw unsupported(json, `pre-tokenizer ${quote(type)}`);
    if (type === "ByteLevel") {
      if (jsonBool(step, "add_prefix_space", true))
        throw unsupported(json, "a space put before texts");
      if (jsonBool(step, "use_regex", true)) splits.push(SPLITS.gpt2);
    } else if (type === "Digits") {
      splits.push(
        jsonBool(step, "individual_digits", false) ? SPLITS.singleDigits : SPLITS.numbers,
      );
    } else if (type === "Split") {
      splits.push(splitOf(step));
    } else {
      throw unsupported(json, `pre-tokenizer ${quote(type)}`);
    }
  }
  return splits;
}

function stepsOf(json: JsonFields): JsonFields[] {
  if (jsonString(json, "type") !== "Sequence") return [json];
  return jsonList(json, "pretokenizers").map((step) => {
    if (isJsonObject(step)) return { file: json.file, object: step };
    throw unsupported(json, `pre-tokenizer ${describeJson(step)}`);
  });
}

function splitOf(step: JsonFields): RegExp {
  const pattern = jsonString(jsonFields(step, "pattern"), "Regex", "");
  const known = PATTERNS.get(pattern);
  const behavior = jsonString(step, "behavior");
  if (known === undefined) throw unsupported(step, `a split by ${quote(pattern)}`);
  if (behavior !== "Isolated" || jsonBool(step, "invert", false)) {
    throw unsupported(step, `a split with behavior ${quote(behavior)}`);
  }
  return known;
}

function unsupported(json: JsonFields, what: string): UnsupportedModelError {
  return new UnsupportedModelError(`${json.file}: ${what}`, [
    "ByteLevel after Digits or the splits of GPT-2, Qwen 2 and Llama 3",
  ]);
}
