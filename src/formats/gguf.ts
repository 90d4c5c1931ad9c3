import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { GgufCursor } from "./gguf-cursor.ts";
import { readTensorTable } from "./gguf-tensors.ts";
import type { TensorInfo } from "./tensor-types.ts";
import { readString, readValue, type GgufValue } from "./gguf-values.ts";
import { quote } from "./quote.ts";

export type { TensorInfo } from "./tensor-types.ts";
export type { GgufValue } from "./gguf-values.ts";

/** What a GGUF file says about itself; the tensors' data stays in the source. */
export interface GgufFile {
  /** Name of the source, for messages. */
  readonly name: string;
  readonly version: 2 | 3;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** "GGUF" as a little-endian number. */
const MAGIC = 0x46554747;
const MAX_METADATA_KEYS = 65_536;
const MAX_KEY_BYTES = 65_535;
/** Smallest entry: length, one letter, type, one byte. */
const MIN_METADATA_BYTES = 14;

/**
 * Reads the header of a GGUF file (versions 2 and 3, little endian): metadata and tensor table, by ranges from the
 * start, never the tensors' data. Every count, length and offset is checked before it is used, so that a damaged or
 * hostile file costs no more time and memory than its own header.
 *
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * @throws ModelFormatError where the file is damaged, UnsupportedModelError where it is sound but not for us,
 *   SourceError where the source cannot be read.
 */
export async function readGguf(source: ByteSource, signal?: AbortSignal): Promise<GgufFile> {
  const cursor = new GgufCursor(source, signal);
  await cursor.ensure(4, "magic");
  const magic = cursor.u32();
  if (magic !== MAGIC) {
    throw cursor.error("magic", '"GGUF"', `0x${magic.toString(16).padStart(8, "0")}`);
  }
  await cursor.ensure(20, "header");
  const version = checkVersion(source.name, cursor.u32());
  const tensorCount = cursor.u64("tensor count");
  const metadataCount = cursor.u64("metadata count");
  const metadata = await readMetadata(cursor, metadataCount);
  const parts = metadata.get("split.count");
  if (typeof parts === "number" && parts > 1) {
    throw new UnsupportedModelError(`${source.name}: a model split into ${parts} GGUF files`, [
      "a model in one GGUF file",
    ]);
  }
  const alignment = metadata.get("general.alignment");
  const tensors = await readTensorTable(cursor, tensorCount, alignment, source.size);
  return { name: source.name, version, metadata, tensors };
}

function checkVersion(file: string, version: number): 2 | 3 {
  if (version === 2 || version === 3) return version;
  const unsupported = (what: string) =>
    new UnsupportedModelError(`${file}: ${what}`, ["GGUF 2 and 3, little endian"]);
  if (version % 0x1000000 === 0 && version > 0) throw unsupported("a big-endian GGUF file");
  if (version > 0 && version < 256) throw unsupported(`GGUF version ${version}`);
  throw new ModelFormatError(file, "version", "2 or 3", String(version));
}

async function readMetadata(cursor: GgufCursor, count: number): Promise<Map<string, GgufValue>> {
  if (count > MAX_METADATA_KEYS) {
    throw cursor.error("metadata count", `at most ${MAX_METADATA_KEYS}`, String(count));
  }
  cursor.assertLeft(count * MIN_METADATA_BYTES, "metadata");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = await readString(cursor, MAX_KEY_BYTES, `metadata key ${i}`);
    const field = `metadata ${quote(key)}`;
    if (key === "" || metadata.has(key)) {
      throw cursor.error(`metadata key ${i}`, "a new key", key === "" ? "none" : quote(key));
    }
    metadata.set(key, await readValue(cursor, field));
  }
  return metadata;
}
