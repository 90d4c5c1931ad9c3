import type { TensorInfo } from "../../formats/tensor-types.ts";
import { BLOCK_SHAPES, tensorBytes, type TensorType } from "../../formats/tensor-types.ts";

/** Metadata of a header: whole numbers become u32, others f32. */
export type HeaderFields = Readonly<Record<string, string | number | readonly string[]>>;

/** A tensor that a header announces; a matrix is `[rows, cols]`. */
export interface HeaderTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
}

const MAGIC = 0x46554747;
const TYPE_U32 = 4;
const TYPE_F32 = 6;
const TYPE_STRING = 8;
const TYPE_ARRAY = 9;
const ALIGNMENT = 32;

/** The head of a GGUF file (version 3), padded up to the first tensor, and where the tensors then lie. */
export function ggufHeader(
  fields: HeaderFields,
  tensors: readonly HeaderTensor[],
): { readonly bytes: Uint8Array; readonly tensors: readonly TensorInfo[] } {
  const out = new Bytes();
  out.u32(MAGIC);
  out.u32(3);
  out.u64(tensors.length);
  out.u64(Object.keys(fields).length);
  for (const [key, value] of Object.entries(fields)) writeField(out, key, value);
  let end = 0;
  const placed = tensors.map(({ name, type, shape }) => {
    const offset = end;
    const elements = shape.reduce((product, size) => product * size, 1);
    const info = { name, type, shape, offset, bytes: tensorBytes(type, elements) };
    out.string(name);
    out.u32(shape.length);
    for (const size of shape.toReversed()) out.u64(size);
    out.u32(BLOCK_SHAPES[type].ggufId);
    out.u64(offset);
    end = aligned(offset + info.bytes);
    return info;
  });
  const start = aligned(out.length);
  return {
    bytes: out.padded(start),
    tensors: placed.map((info) => ({ ...info, offset: start + info.offset })),
  };
}

function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function writeField(out: Bytes, key: string, value: string | number | readonly string[]): void {
  out.string(key);
  if (typeof value === "string") {
    out.u32(TYPE_STRING);
    out.string(value);
  } else if (typeof value === "number") {
    out.u32(Number.isInteger(value) ? TYPE_U32 : TYPE_F32);
    if (Number.isInteger(value)) out.u32(value);
    else out.f32(value);
  } else {
    out.u32(TYPE_ARRAY);
    out.u32(TYPE_STRING);
    out.u64(value.length);
    for (const text of value) out.string(text);
  }
}

/** Little-endian bytes that grow. */
class Bytes {
  #bytes = new Uint8Array(2 ** 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  f32(value: number): void {
    const at = this.#room(4);
    this.#view.setFloat32(at, value, true);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** What was written, with zeros up to `size`. */
  padded(size: number): Uint8Array {
    this.#room(size - this.#length);
    return this.#bytes.subarray(0, size);
  }

  /** Where the next `count` bytes lie; what they lie in may be another array afterwards. */
  #room(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
