import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { describeJson, isJsonObject, parseJsonObject, readText } from "./json-file.ts";
import { assertUniqueKeys } from "./json-keys.ts";
import { quote } from "./quote.ts";

/** Name of the file that says which shard holds which tensor. */
export const SAFETENSORS_INDEX = "model.safetensors.index.json";

const MAX_INDEX_BYTES = 100_000_000;
const MAX_SHARDS = 10_000;

/** A plain file name: no folder, no drive, nothing hidden, nothing that a URL or a shell would read otherwise. */
const SHARD_NAME = /^[A-Za-z0-9_][\w.-]{0,250}\.safetensors$/;

/** Which shard holds which tensor. */
export interface SafetensorsIndex {
  /** File names, in the order of their names. */
  readonly shards: readonly string[];
  /** Shard of each tensor. */
  readonly weightMap: ReadonlyMap<string, string>;
}

/**
 * Reads `model.safetensors.index.json`. Shards are file names of the same folder: anything that could lead elsewhere
 * is refused.
 * @throws ModelFormatError, SourceError
 */
export async function readSafetensorsIndex(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<SafetensorsIndex> {
  const fail = (field: string, expected: string, got: string): never => {
    throw new ModelFormatError(source.name, field, expected, got);
  };
  if (source.size > MAX_INDEX_BYTES) {
    fail("the file", `at most ${MAX_INDEX_BYTES} bytes long`, `${source.size} bytes`);
  }
  const text = await readText(source, {}, signal);
  const { weight_map: map } = parseJsonObject(text, source.name);
  assertUniqueKeys(text, source.name);
  if (!isJsonObject(map)) return fail("weight_map", "an object", describeJson(map));
  const weightMap = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !SHARD_NAME.test(shard)) {
      const got = typeof shard === "string" ? quote(shard) : describeJson(shard);
      return fail(`shard of ${quote(tensor)}`, "the name of a .safetensors file beside it", got);
    }
    weightMap.set(tensor, shard);
  }
  const shards = [...new Set(weightMap.values())].sort();
  if (shards.length === 0 || shards.length > MAX_SHARDS) {
    fail("weight_map", `of 1 to ${MAX_SHARDS} shards`, String(shards.length));
  }
  return { shards, weightMap };
}
