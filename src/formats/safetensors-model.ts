import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { type ModelFolder, openRequired } from "./folder.ts";
import type { TensorInfo } from "./tensor-types.ts";
import { joinSources } from "./joined-source.ts";
import { quote } from "./quote.ts";
import { readSafetensors, type SafetensorsInfo } from "./safetensors.ts";
import { readSafetensorsIndex, SAFETENSORS_INDEX } from "./safetensors-index.ts";

/** Name of the file that holds all weights where there are no shards. */
const SINGLE_FILE = "model.safetensors";

/** The weights of a folder, whether in one file or in shards. */
export interface SafetensorsModel {
  /** All shards, one after another. */
  readonly source: ByteSource;
  /** By name; offsets count from the start of `source`. */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
}

/**
 * Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
 * @throws ModelFormatError where a file is damaged or the index says otherwise than the shards; UnsupportedModelError;
 *   SourceError.
 */
export async function openSafetensors(
  folder: ModelFolder,
  signal?: AbortSignal,
): Promise<SafetensorsModel> {
  const index = await folder.open(SAFETENSORS_INDEX, signal);
  if (index === undefined) {
    const source = await openRequired(folder, SINGLE_FILE, signal);
    return { source, tensors: (await readSafetensors(source, signal)).tensors };
  }
  const { shards, weightMap } = await readSafetensorsIndex(index, signal);
  const sources: ByteSource[] = [];
  const tensors = new Map<string, SafetensorsInfo>();
  let start = 0;
  for (const shard of shards) {
    const source = await openRequired(folder, shard, signal);
    const file = await readSafetensors(source, signal);
    for (const info of file.tensors.values()) {
      const listed = weightMap.get(info.name) ?? shard;
      if (listed !== shard || tensors.has(info.name)) {
        const field = `shard of ${quote(info.name)}`;
        throw new ModelFormatError(index.name, field, `only ${listed}`, `${shard}, too`);
      }
      tensors.set(info.name, { ...info, offset: start + info.offset });
    }
    sources.push(source);
    start += source.size;
  }
  for (const [name, shard] of weightMap) {
    if (tensors.has(name)) continue;
    throw new ModelFormatError(folder.name, `tensor ${quote(name)}`, `in ${shard}`, "nothing");
  }
  return { source: joinSources(sources, folder.name), tensors };
}

/**
 * A tensor as weights.
 * @throws UnsupportedModelError for other dtypes than F32, F16 and BF16.
 */
export function weightInfo(file: string, info: SafetensorsInfo): TensorInfo {
  const { dtype } = info;
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return { ...info, type: dtype };
  const what = `${file}: dtype ${dtype} of tensor ${quote(info.name)}`;
  throw new UnsupportedModelError(what, ["F32", "F16", "BF16"]);
}
