import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** Bytes read at once: a long text never needs an ArrayBuffer of its own length. */
const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * A range of a source as text.
 *
 * @param field what messages call the range.
 * @throws ModelFormatError where it isn't UTF-8, SourceError where it cannot be read.
 */
export async function readText(
  source: ByteSource,
  range: { readonly offset?: number; readonly length?: number; readonly field?: string } = {},
  signal?: AbortSignal,
): Promise<string> {
  const { offset = 0, field = "the text" } = range;
  const { length = source.size - offset } = range;
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  try {
    for (let at = 0; at < length; at += PIECE_BYTES) {
      const bytes = await source.read(offset + at, Math.min(PIECE_BYTES, length - at), signal);
      text += utf8.decode(bytes, { stream: true });
    }
    return text + utf8.decode();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new ModelFormatError(source.name, field, "UTF-8 text", "bytes that are none", { cause });
  }
}

/** An object of a JSON file, whose values are still unchecked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a JSON value is an object (and no array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The object that a JSON text holds.
 * @throws ModelFormatError where it is no JSON or no object.
 */
export function parseJsonObject(text: string, file: string, field = "the file"): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ModelFormatError(file, field, "JSON", why.slice(0, 200), { cause });
  }
  if (isJsonObject(value)) return value;
  throw new ModelFormatError(file, field, "a JSON object", describeJson(value));
}

/**
 * The object that a whole JSON file holds.
 * @throws ModelFormatError, also for a file of more than `maxBytes`; SourceError.
 */
export async function readJsonFile(
  source: ByteSource,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<JsonObject> {
  if (source.size > maxBytes) {
    const expected = `at most ${maxBytes} bytes long`;
    throw new ModelFormatError(source.name, "the file", expected, `${source.size} bytes`);
  }
  return parseJsonObject(await readText(source, {}, signal), source.name);
}

/** What a message says of a JSON value. */
export function describeJson(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isJsonObject(value)) return "an object";
  if (value === undefined) return "nothing";
  return JSON.stringify(value).slice(0, 80);
}
