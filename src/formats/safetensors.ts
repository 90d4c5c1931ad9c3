import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { describeJson, isJsonObject, parseJsonObject, readText } from "./json-file.ts";
import { assertUniqueKeys } from "./json-keys.ts";
import { quote } from "./quote.ts";

/** Bits of an element of each dtype that the format knows. */
const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** How the elements of a tensor are stored; only F32, F16 and BF16 can be weights (safetensors-model.ts). */
export type SafetensorsDtype = keyof typeof DTYPE_BITS;

/** Where a tensor lies and how. */
export interface SafetensorsInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Outermost first; empty for a single number. */
  readonly shape: readonly number[];
  /** First byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** What a safetensors file says about itself; the tensors' data stays in the source. */
export interface SafetensorsFile {
  readonly name: string;
  /** `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
}

/** The limit of the reference implementation. */
export const MAX_SAFETENSORS_HEADER_BYTES = 100_000_000;

const LENGTH_BYTES = 8;

/**
 * Reads the header of a safetensors file, never the tensors' data, and checks it as the reference implementation does
 * (https://github.com/huggingface/safetensors, `SafeTensors::read_metadata`): its length, UTF-8, a JSON object, and
 * tensors that fill the rest of the file without a hole or an overlap, each as long as its shape and dtype say. Keys
 * that stand twice are refused too.
 *
 * @throws ModelFormatError where the file is damaged, UnsupportedModelError for a dtype that the format doesn't know,
 *   SourceError where the source cannot be read.
 */
export async function readSafetensors(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<SafetensorsFile> {
  const headerBytes = await readHeaderLength(source, signal);
  const range = { offset: LENGTH_BYTES, length: headerBytes, field: "the header" };
  const text = await readText(source, range, signal);
  if (!text.startsWith("{")) {
    throw new ModelFormatError(
      source.name,
      "the header",
      'begun with "{"',
      quote(text.slice(0, 8)),
    );
  }
  const header = parseJsonObject(text, source.name, "the header");
  assertUniqueKeys(text, source.name);
  const dataStart = LENGTH_BYTES + headerBytes;
  const tensors: SafetensorsInfo[] = [];
  let metadata = new Map<string, string>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") metadata = readMetadata(source.name, entry);
    else tensors.push(readEntry(source.name, name, entry, dataStart));
  }
  checkPlacement(source, tensors, dataStart);
  return { name: source.name, metadata, tensors: new Map(tensors.map((t) => [t.name, t])) };
}

async function readHeaderLength(source: ByteSource, signal?: AbortSignal): Promise<number> {
  const field = "the header's length";
  if (source.size < LENGTH_BYTES) {
    const expected = `in the first ${LENGTH_BYTES} bytes`;
    throw new ModelFormatError(source.name, field, expected, `a file of ${source.size}`);
  }
  const bytes = await source.read(0, LENGTH_BYTES, signal);
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  const most = Math.min(source.size - LENGTH_BYTES, MAX_SAFETENSORS_HEADER_BYTES);
  if (length <= most) return Number(length);
  throw new ModelFormatError(source.name, field, `at most ${most}`, String(length));
}

function readMetadata(file: string, value: unknown): Map<string, string> {
  const fail = (expected: string, got: unknown): never => {
    throw new ModelFormatError(file, "__metadata__", expected, describeJson(got));
  };
  // The reference reads `null` as none.
  if (value === null) return new Map();
  if (!isJsonObject(value)) return fail("an object of strings", value);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") return fail("an object of strings", text);
    metadata.set(key, text);
  }
  return metadata;
}

/** One entry, its offset from the start of the file. */
function readEntry(file: string, name: string, entry: unknown, dataStart: number): SafetensorsInfo {
  const field = `tensor ${quote(name)}`;
  const fail = (what: string, expected: string, got: unknown): never => {
    throw new ModelFormatError(file, `${what} of ${field}`, expected, describeJson(got));
  };
  if (!isJsonObject(entry)) return fail("the entry", "an object", entry);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string") return fail("dtype", "a string", dtype);
  if (!Object.hasOwn(DTYPE_BITS, dtype)) {
    throw new UnsupportedModelError(`${file}: dtype ${quote(dtype)} of ${field}`, DTYPES);
  }
  if (!isSizes(shape)) return fail("shape", "a list of whole numbers", shape);
  if (!isSizes(offsets) || offsets.length !== 2)
    return fail("data_offsets", "two numbers", offsets);
  const [begin = 0, end = 0] = offsets;
  const elements = shape.reduce((product, size) => product * size, 1);
  const bits = elements * DTYPE_BITS[dtype as SafetensorsDtype];
  if (!Number.isSafeInteger(bits) || bits % 8 !== 0 || end - begin !== bits / 8) {
    const expected = `${bits / 8} bytes apart (${shape.join(" x ")} ${dtype})`;
    return fail("data_offsets", expected, offsets);
  }
  const bytes = bits / 8;
  return { name, dtype: dtype as SafetensorsDtype, shape, offset: dataStart + begin, bytes };
}

const DTYPES: readonly string[] = Object.keys(DTYPE_BITS);

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** In file order, each tensor must begin where the one before it ends, and the last at the end of the file. */
function checkPlacement(source: ByteSource, tensors: SafetensorsInfo[], dataStart: number): void {
  let end = dataStart;
  let before = "the header";
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  for (const { name, offset, bytes } of tensors) {
    const field = `tensor ${quote(name)}`;
    if (offset !== end) {
      const expected = `right after ${before}, at ${end - dataStart}`;
      throw new ModelFormatError(source.name, field, expected, `offset ${offset - dataStart}`);
    }
    end = offset + bytes;
    before = field;
  }
  if (end !== source.size) {
    const expected = `${end} bytes, where ${before} ends`;
    throw new ModelFormatError(source.name, "the file", expected, `${source.size}`);
  }
}
