import { BLOCK_SHAPES, type TensorType } from "../../src/formats/tensor-types.ts";

/** A number with the type that it is to be stored as. */
export interface TypedNumber {
  readonly type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "u64" | "i64" | "f64";
  readonly value: number | bigint;
}

/** Arrays: typed arrays keep their element type; `[]` is an empty array of strings. */
export type GgufArrayField =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly string[]
  | readonly boolean[]
  | readonly GgufArrayField[];

/** A metadata value. Plain numbers become u32, i32 where negative, f32 where not whole; else say the type. */
export type GgufField = string | boolean | number | TypedNumber | GgufArrayField;

/** A tensor to write; `shape` is outermost first and `data` is in the file's own block format. */
export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What `buildGguf` writes. */
export interface GgufContent {
  readonly version?: 2 | 3;
  readonly metadata: Readonly<Record<string, GgufField>>;
  readonly tensors: readonly GgufTensor[];
}

const TYPE_IDS = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  u64: 10,
  i64: 11,
  f64: 12,
};
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** The bytes of a GGUF file; `general.alignment` in the metadata is honoured (else 32). Nothing is checked. */
export function buildGguf({
  version = 3,
  metadata,
  tensors,
}: GgufContent): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  out.raw(new TextEncoder().encode("GGUF"));
  out.number("u32", version);
  out.number("u64", tensors.length);
  out.number("u64", Object.keys(metadata).length);
  for (const [key, field] of Object.entries(metadata)) {
    out.string(key);
    writeField(out, field);
  }
  const alignment = Number(metadata["general.alignment"] ?? 32);
  let offset = 0;
  for (const { name, type, shape, data } of tensors) {
    out.string(name);
    out.number("u32", shape.length);
    for (const size of shape.toReversed()) out.number("u64", size);
    out.number("u32", BLOCK_SHAPES[type].ggufId);
    out.number("u64", offset);
    offset = roundUp(offset + data.length, alignment);
  }
  for (const { data } of tensors) {
    out.pad(alignment);
    out.raw(data);
  }
  return out.finish();
}

function writeField(out: ByteWriter, field: GgufField): void {
  if (typeof field === "string") {
    out.number("u32", STRING);
    out.string(field);
  } else if (typeof field === "boolean") {
    out.number("u32", BOOL);
    out.number("u8", Number(field));
  } else if (typeof field === "number") {
    const type = Number.isInteger(field) ? (field < 0 ? "i32" : "u32") : "f32";
    writeField(out, { type, value: field });
  } else if ("type" in field) {
    out.number("u32", TYPE_IDS[field.type]);
    out.number(field.type, field.value);
  } else {
    out.number("u32", ARRAY);
    writeArray(out, field);
  }
}

function writeArray(out: ByteWriter, array: GgufArrayField): void {
  const numbers = ArrayBuffer.isView(array);
  const first = array[0];
  if (numbers) out.number("u32", TYPE_IDS[elementType(array)]);
  else if (typeof first === "object") out.number("u32", ARRAY);
  else out.number("u32", typeof first === "boolean" ? BOOL : STRING);
  out.number("u64", array.length);
  if (numbers) out.raw(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  else {
    for (const element of array) {
      if (typeof element === "string") out.string(element);
      else if (typeof element === "boolean") out.number("u8", Number(element));
      else writeArray(out, element);
    }
  }
}

function elementType(array: ArrayBufferView): TypedNumber["type"] {
  if (array instanceof Uint8Array) return "u8";
  if (array instanceof Int8Array) return "i8";
  if (array instanceof Uint16Array) return "u16";
  if (array instanceof Int16Array) return "i16";
  if (array instanceof Uint32Array) return "u32";
  if (array instanceof Int32Array) return "i32";
  if (array instanceof Float32Array) return "f32";
  if (array instanceof BigUint64Array) return "u64";
  if (array instanceof BigInt64Array) return "i64";
  return "f64";
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Little-endian bytes, one after the other. */
class ByteWriter {
  #buffer = new Uint8Array(1024);
  #length = 0;

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("u64", bytes.length);
    this.raw(bytes);
  }

  pad(multiple: number): void {
    this.#reserve(roundUp(this.#length, multiple) - this.#length);
  }

  number(type: TypedNumber["type"], value: number | bigint): void {
    const array = {
      u8: Uint8Array,
      i8: Int8Array,
      u16: Uint16Array,
      i16: Int16Array,
      u32: Uint32Array,
      i32: Int32Array,
      f32: Float32Array,
      f64: Float64Array,
    };
    if (type === "u64") this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
    else if (type === "i64") this.raw(new Uint8Array(BigInt64Array.of(BigInt(value)).buffer));
    else this.raw(new Uint8Array(array[type].of(Number(value)).buffer));
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    return at;
  }
}
