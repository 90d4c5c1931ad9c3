import type { GgufCursor } from "./gguf-cursor.ts";

/** Numbers of an array, as stored; 64-bit integers come as big-integer arrays. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** An array of the metadata; arrays of arrays nest. */
export type GgufArray = GgufNumbers | readonly string[] | readonly boolean[] | readonly GgufArray[];

/** A value of the metadata; a `bigint` only where a 64-bit integer isn't exact as a number. */
export type GgufValue = string | number | bigint | boolean | GgufArray;

/** Longest string, in bytes of UTF-8; chat templates are the longest that occur. */
const MAX_STRING_BYTES = 10 * 1024 * 1024;
/** Longest array; vocabularies have up to 300,000 entries, merges up to 600,000. */
const MAX_ARRAY_LENGTH = 2_000_000;
const MAX_NESTING = 4;

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** Number types: bytes of one, and the array that holds many. */
const NUMBER_TYPES: Readonly<Record<number, { bytes: number; make(n: number): GgufNumbers }>> = {
  0: { bytes: 1, make: (n) => new Uint8Array(n) },
  1: { bytes: 1, make: (n) => new Int8Array(n) },
  2: { bytes: 2, make: (n) => new Uint16Array(n) },
  3: { bytes: 2, make: (n) => new Int16Array(n) },
  4: { bytes: 4, make: (n) => new Uint32Array(n) },
  5: { bytes: 4, make: (n) => new Int32Array(n) },
  6: { bytes: 4, make: (n) => new Float32Array(n) },
  10: { bytes: 8, make: (n) => new BigUint64Array(n) },
  11: { bytes: 8, make: (n) => new BigInt64Array(n) },
  12: { bytes: 8, make: (n) => new Float64Array(n) },
};

/** Reads a string: a 64-bit length and that many bytes of UTF-8. */
export async function readString(
  cursor: GgufCursor,
  maxBytes: number,
  field: string,
): Promise<string> {
  await cursor.ensure(8, field);
  const length = cursor.u64(field);
  if (length > maxBytes) {
    throw cursor.error(field, `a string of at most ${maxBytes} bytes`, `${length} bytes`);
  }
  await cursor.ensure(length, field);
  return cursor.text(length, field);
}

/** Reads the value of a metadata key: its type number, then the value. */
export async function readValue(cursor: GgufCursor, field: string): Promise<GgufValue> {
  await cursor.ensure(4, field);
  const type = cursor.u32();
  switch (type) {
    case STRING:
      return readString(cursor, MAX_STRING_BYTES, field);
    case ARRAY:
      return readArray(cursor, field, 1);
    case BOOL:
      return (await readBools(cursor, 1, field))[0] === true;
    default: {
      const value = (await readNumbers(cursor, type, 1, field))[0] ?? 0;
      return typeof value === "bigint" ? toNumber(value) : value;
    }
  }
}

async function readArray(cursor: GgufCursor, field: string, depth: number): Promise<GgufArray> {
  if (depth > MAX_NESTING) {
    throw cursor.error(field, `nested at most ${MAX_NESTING} deep`, "deeper arrays");
  }
  await cursor.ensure(12, field);
  const type = cursor.u32();
  const length = cursor.u64(field);
  if (length > MAX_ARRAY_LENGTH) {
    throw cursor.error(field, `an array of at most ${MAX_ARRAY_LENGTH}`, `${length} elements`);
  }
  if (type === STRING) return readStrings(cursor, length, field);
  if (type === BOOL) return readBools(cursor, length, field);
  if (type !== ARRAY) return readNumbers(cursor, type, length, field);
  cursor.assertLeft(length * 12, field);
  const arrays: GgufArray[] = [];
  for (let i = 0; i < length; i++) arrays.push(await readArray(cursor, field, depth + 1));
  return arrays;
}

async function readStrings(cursor: GgufCursor, length: number, field: string): Promise<string[]> {
  cursor.assertLeft(length * 8, field);
  const strings: string[] = [];
  for (let i = 0; i < length; i++) {
    // Waiting for each of 300,000 strings would cost more than reading them.
    const buffered = cursor.bufferedString(MAX_STRING_BYTES, field);
    strings.push(buffered ?? (await readString(cursor, MAX_STRING_BYTES, field)));
  }
  return strings;
}

async function readBools(cursor: GgufCursor, length: number, field: string): Promise<boolean[]> {
  const bytes = (await readNumbers(cursor, 0, length, field)) as Uint8Array;
  const wrong = bytes.find((byte) => byte > 1);
  if (wrong !== undefined) throw cursor.error(field, "booleans (0 or 1)", String(wrong));
  return Array.from(bytes, (byte) => byte === 1);
}

async function readNumbers(
  cursor: GgufCursor,
  type: number,
  length: number,
  field: string,
): Promise<GgufNumbers> {
  const numberType = NUMBER_TYPES[type];
  if (numberType === undefined) {
    throw cursor.error(field, "a value type from 0 to 12", `type ${type}`);
  }
  cursor.assertLeft(length * numberType.bytes, field);
  const numbers = numberType.make(length);
  // As stored: GGUF is little endian, and so is every host of WebGPU.
  const bytes = new Uint8Array(numbers.buffer);
  for (let filled = 0; filled < bytes.length;) {
    await cursor.ensure(1, field);
    const count = Math.min(cursor.buffered, bytes.length - filled);
    bytes.set(cursor.bytes(count), filled);
    filled += count;
  }
  return numbers;
}

function toNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
