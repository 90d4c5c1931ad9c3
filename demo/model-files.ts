import { ModelFormatError, SourceError } from "../src/index.ts";

const GGUF_MAGIC = 0x46554747; // "GGUF", read as little-endian

/** A safetensors file begins with the length of its header, and the header with a brace. */
const LENGTH_BYTES = 8;

/** What the weights in safetensors can't be read without. */
const COMPANIONS = ["config.json", "tokenizer.json"] as const;

/**
 * Look at the beginning of files that are to be a model, so that a loaded one needn't go for what can't be any.
 * @throws ModelFormatError, SourceError for a folder, what can't be read, and weights without their json files
 */
export async function checkModelFiles(source: File | readonly File[]): Promise<void> {
  const files = source instanceof File ? [source] : source;
  const weights = files.filter(({ name }) => /\.safetensors$/i.test(name));
  const [first] = weights;
  if (first === undefined) {
    for (const file of files) await checkGguf(file);
    return;
  }
  for (const file of weights) await checkSafetensors(file);
  const missing = COMPANIONS.filter((wanted) => !files.some(({ name }) => name === wanted));
  if (missing.length === 0) return;
  const rule = `came without ${missing.join(" and ")}: choose or drop all the files together`;
  throw new SourceError(first.name, rule);
}

async function checkGguf(file: File): Promise<void> {
  const head = await headOf(file, 4);
  const magic = head.byteLength < 4 ? undefined : head.getUint32(0, true);
  if (magic === GGUF_MAGIC) return;
  const got = magic === undefined ? `${head.byteLength} bytes` : `0x${magic.toString(16)}`;
  throw new ModelFormatError(file.name, "magic", '"GGUF"', got);
}

async function checkSafetensors(file: File): Promise<void> {
  const head = await headOf(file, LENGTH_BYTES + 1);
  if (head.byteLength === LENGTH_BYTES + 1) {
    const header = head.getBigUint64(0, true);
    const fits = header <= BigInt(file.size - LENGTH_BYTES);
    if (fits && head.getUint8(LENGTH_BYTES) === 0x7b) return;
  }
  throw new ModelFormatError(file.name, "its header", "JSON within the file", "something else");
}

async function headOf(file: File, bytes: number): Promise<DataView> {
  try {
    return new DataView(await file.slice(0, bytes).arrayBuffer());
  } catch (cause) {
    throw new SourceError(file.name, "can't be read: it is a folder, or no longer there", {
      cause,
    });
  }
}
