import { ModelFormatError } from "../errors.ts";
import type { GgufFile } from "./gguf.ts";
import type { GgufArray, GgufNumbers, GgufValue } from "./gguf-values.ts";
import { quote } from "./quote.ts";

// All getters: a missing key gives `fallback` where one is passed (undefined counts) and throws a ModelFormatError
// where none is; a value of another type always throws.

/** What the getters read: the metadata, and the name for messages. */
export type MetadataFile = Pick<GgufFile, "name" | "metadata">;

type Fallback<T> = [] | [fallback: T];

/** Numbers of an array, each exact as a JavaScript number. */
export type Numbers = Exclude<GgufNumbers, BigUint64Array | BigInt64Array>;

/** A string. */
export function getString(file: MetadataFile, key: string): string;
export function getString<T>(file: MetadataFile, key: string, fallback: T): string | T;
export function getString<T>(
  file: MetadataFile,
  key: string,
  ...fallback: Fallback<T>
): string | T {
  return get(file, key, "a string", fallback, (v) => (typeof v === "string" ? v : undefined));
}

/** A whole number from 0 to 2^53 - 1, stored as any integer type. */
export function getUint(file: MetadataFile, key: string): number;
export function getUint<T>(file: MetadataFile, key: string, fallback: T): number | T;
export function getUint<T>(file: MetadataFile, key: string, ...fallback: Fallback<T>): number | T {
  return get(file, key, "a whole number, not negative", fallback, (v) =>
    typeof v === "number" && Number.isSafeInteger(v) && v >= 0 ? v : undefined,
  );
}

/** A finite number. */
export function getFloat(file: MetadataFile, key: string): number;
export function getFloat<T>(file: MetadataFile, key: string, fallback: T): number | T;
export function getFloat<T>(file: MetadataFile, key: string, ...fallback: Fallback<T>): number | T {
  return get(file, key, "a finite number", fallback, (v) =>
    typeof v === "number" && Number.isFinite(v) ? v : undefined,
  );
}

/** A boolean. */
export function getBool(file: MetadataFile, key: string): boolean;
export function getBool<T>(file: MetadataFile, key: string, fallback: T): boolean | T;
export function getBool<T>(file: MetadataFile, key: string, ...fallback: Fallback<T>): boolean | T {
  return get(file, key, "a boolean", fallback, (v) => (typeof v === "boolean" ? v : undefined));
}

/** An array of strings. */
export function getStrings(file: MetadataFile, key: string): readonly string[];
export function getStrings<T>(file: MetadataFile, key: string, fallback: T): readonly string[] | T;
export function getStrings<T>(
  file: MetadataFile,
  key: string,
  ...fallback: Fallback<T>
): readonly string[] | T {
  return get(file, key, "an array of strings", fallback, (v) => (isStrings(v) ? v : undefined));
}

/** An array of numbers; 64-bit integers become doubles, where they all fit. */
export function getNumbers(file: MetadataFile, key: string): Numbers;
export function getNumbers<T>(file: MetadataFile, key: string, fallback: T): Numbers | T;
export function getNumbers<T>(
  file: MetadataFile,
  key: string,
  ...fallback: Fallback<T>
): Numbers | T {
  return get(file, key, "an array of numbers under 2^53", fallback, toNumbers);
}

function get<V, T>(
  file: MetadataFile,
  key: string,
  expected: string,
  fallback: Fallback<T>,
  accept: (value: GgufValue) => V | undefined,
): V | T {
  const value = file.metadata.get(key);
  if (value === undefined) {
    if (fallback.length === 1) return fallback[0];
    throw new ModelFormatError(file.name, `metadata ${quote(key)}`, expected, "nothing");
  }
  const accepted = accept(value);
  if (accepted !== undefined) return accepted;
  throw new ModelFormatError(file.name, `metadata ${quote(key)}`, expected, describe(value));
}

function isStrings(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}

function toNumbers(value: GgufValue): Numbers | undefined {
  if (!isNumbers(value)) return undefined;
  if (!(value instanceof BigUint64Array || value instanceof BigInt64Array)) return value;
  const numbers = Float64Array.from(value as ArrayLike<bigint> & Iterable<bigint>, Number);
  return numbers.every(Number.isSafeInteger) ? numbers : undefined;
}

function isNumbers(value: GgufValue): value is GgufNumbers {
  return ArrayBuffer.isView(value);
}

function describe(value: GgufValue): string {
  if (typeof value !== "object") return `${typeof value} ${quote(String(value))}`;
  return `an array of ${value.length} ${elementKind(value)}`;
}

function elementKind(array: GgufArray): string {
  return ArrayBuffer.isView(array) ? "numbers" : `${typeof array[0]}s`;
}
