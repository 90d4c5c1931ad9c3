import { ModelFormatError } from "../errors.ts";
import { describeJson, isJsonObject, type JsonObject } from "./json-file.ts";

// All getters: a missing key or null gives `fallback` where one is passed (undefined counts) and throws a
// ModelFormatError where none is; a value of another kind always throws.

/** An object of a JSON file, with the name of the file for messages. */
export interface JsonFields {
  readonly file: string;
  readonly object: JsonObject;
}

type Fallback<T> = [] | [fallback: T];

/** A whole number from 0 to 2^53 - 1. */
export function jsonUint<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): number | T {
  return get(json, key, "a whole number, not negative", fallback, (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined,
  );
}

/** A number. */
export function jsonNumber<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): number | T {
  return get(json, key, "a number", fallback, (value) =>
    typeof value === "number" ? value : undefined,
  );
}

/** True or false. */
export function jsonBool<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): boolean | T {
  return get(json, key, "true or false", fallback, (value) =>
    typeof value === "boolean" ? value : undefined,
  );
}

/** A string. */
export function jsonString<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): string | T {
  return get(json, key, "a string", fallback, (value) =>
    typeof value === "string" ? value : undefined,
  );
}

/** An object, with its own getters. */
export function jsonFields<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): JsonFields | T {
  return get(json, key, "an object", fallback, (value) =>
    isJsonObject(value) ? { file: json.file, object: value } : undefined,
  );
}

/** A list, its elements unchecked. */
export function jsonList<T = never>(
  json: JsonFields,
  key: string,
  ...fallback: Fallback<T>
): readonly unknown[] | T {
  return get(json, key, "a list", fallback, (value) => (Array.isArray(value) ? value : undefined));
}

function get<V, T>(
  { file, object }: JsonFields,
  key: string,
  expected: string,
  fallback: Fallback<T>,
  accept: (value: unknown) => V | undefined,
): V | T {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  if (value === undefined || value === null) {
    if (fallback.length === 1) return fallback[0];
    throw new ModelFormatError(file, `"${key}"`, expected, "nothing");
  }
  const accepted = accept(value);
  if (accepted !== undefined) return accepted;
  throw new ModelFormatError(file, `"${key}"`, expected, describeJson(value));
}
