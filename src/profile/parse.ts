import { InvalidOptionError } from "../errors.ts";
import { checkJson, type JsonSchema } from "./json-schema.ts";
import { type RunTrace, TRACE_SCHEMA } from "./trace.ts";
import schema from "./trace.schema.json";

/** What an exported run is, as JSON Schema (draft 2020-12): `parseTrace` checks files against it. */
export const TRACE_JSON_SCHEMA: JsonSchema = schema as JsonSchema;

/**
 * Read an exported run. Everything is checked: files come from anywhere.
 * @throws InvalidOptionError naming the field, what it must be and what it is, also for a file of
 * another version.
 */
export function parseTrace(text: string): RunTrace {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidOptionError("the file", text.slice(0, 20), "an exported run, which is JSON");
  }
  const { schema: version } = (value ?? {}) as { schema?: unknown };
  if (version !== TRACE_SCHEMA) {
    throw new InvalidOptionError("schema", String(version), `"${TRACE_SCHEMA}"`);
  }
  checkJson(TRACE_JSON_SCHEMA, value, "run");
  return value as RunTrace;
}
