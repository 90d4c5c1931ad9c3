import { InvalidOptionError } from "../errors.ts";
import { BUFFER_PURPOSES } from "../gpu/buffers.ts";
import { type RunTrace, TRACE_SCHEMA } from "./trace.ts";

/** What a value has to be: throws with the path to what is not. */
type Check = (value: unknown, path: string) => void;

/** Numbers that a page can show without harm. */
const MOST_ITEMS = 2_000_000;

function fail(path: string, expected: string, value: unknown): never {
  const got = typeof value === "object" ? JSON.stringify(value)?.slice(0, 60) : String(value);
  throw new InvalidOptionError(path, got ?? "nothing", expected);
}

const isNumber: Check = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value)) fail(path, "a number", value);
};
const isCount: Check = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) fail(path, "a whole number", value);
};
const isText: Check = (value, path) => {
  if (typeof value !== "string") fail(path, "text", value);
};
const isFlag: Check = (value, path) => {
  if (typeof value !== "boolean") fail(path, "true or false", value);
};
const oneOf =
  (...values: readonly string[]): Check =>
  (value, path) => {
    if (!values.includes(value as string)) fail(path, values.join(" or "), value);
  };
const listOf =
  (item: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) fail(path, "a list", value);
    const list = value as unknown[];
    if (list.length > MOST_ITEMS) fail(path, `at most ${MOST_ITEMS} items`, list.length);
    list.forEach((each, at) => item(each, `${path}[${at}]`));
  };
const record =
  (
    fields: Readonly<Record<string, Check>>,
    optional: Readonly<Record<string, Check>> = {},
  ): Check =>
  (value, path) => {
    if (typeof value !== "object" || value === null) fail(path, "an object", value);
    const given = value as Record<string, unknown>;
    for (const [name, check] of Object.entries(fields)) check(given[name], `${path}.${name}`);
    for (const [name, check] of Object.entries(optional)) {
      if (given[name] !== undefined) check(given[name], `${path}.${name}`);
    }
  };

const orNull =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path);
  };

const buffer = record(
  {
    id: isCount,
    label: isText,
    purpose: oneOf(...BUFFER_PURPOSES),
    bytes: isCount,
    usage: isCount,
    at: isNumber,
  },
  { layer: isCount },
);
const event: Check = (value, path) => {
  record({ type: oneOf("alloc", "free") })(value, path);
  const isAlloc = (value as { type: string }).type === "alloc";
  record(isAlloc ? { buffer } : { id: isCount, at: isNumber })(value, path);
};
const rows = { budget: isNumber, length: isNumber, capacity: isNumber, bytes: isCount };
const layer = record(
  { ...rows, fullBytes: isCount, keptMass: listOf(isNumber) },
  { heads: listOf(record(rows)) },
);
const kernel = record(
  { kernel: isText, dispatches: isCount, totalMs: isNumber, p50Ms: isNumber, p95Ms: isNumber },
  { layer: isCount },
);
const trace = record(
  {
    createdAt: isText,
    model: record({
      name: isText,
      numLayers: isCount,
      numHeads: isCount,
      numKvHeads: isCount,
      headDim: isCount,
      contextLength: isCount,
    }),
    adapter: record({
      name: isText,
      isSoftware: isFlag,
      maxBufferSize: isCount,
      maxStorageBufferBindingSize: isCount,
    }),
    cache: record({ policy: isText, kvDtype: isText, windowSize: isCount, numSinks: isCount }),
    end: isNumber,
    base: listOf(buffer),
    events: listOf(event),
    droppedEvents: isCount,
    phases: listOf(
      record(
        { name: oneOf("load", "prefill", "compress", "decode"), start: isNumber, end: isNumber },
        { layer: isCount },
      ),
    ),
    samples: listOf(
      record({ at: isNumber, tokens: isCount, fullBytes: isCount }, { layers: listOf(layer) }),
    ),
    calls: listOf(
      record({
        start: isNumber,
        end: isNumber,
        promptTokens: isCount,
        cachedTokens: isCount,
        completionTokens: isCount,
        prefillTokensPerSecond: isNumber,
        decodeTokensPerSecond: isNumber,
        timeToFirstTokenMs: isNumber,
      }),
    ),
    kernels: record(
      {
        quantumNs: isNumber,
        steps: isCount,
        skipped: isCount,
        decode: listOf(kernel),
        prefill: listOf(kernel),
        lastStep: listOf(
          record({ kernel: isText, startMs: isNumber, durationMs: isNumber }, { layer: isCount }),
        ),
      },
      { unavailable: isText },
    ),
  },
  {
    tokens: listOf(record({ id: isCount, text: isText })),
    kept: listOf(listOf(listOf(isCount))),
    scores: listOf(
      record({
        position: isCount,
        heads: listOf(listOf(orNull(record({ rank: isCount, of: isCount }, { score: isNumber })))),
      }),
    ),
  },
);

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
    fail("the file", "an exported run, which is JSON", text.slice(0, 20));
  }
  const schema = (value as { schema?: unknown } | null)?.schema;
  if (schema !== TRACE_SCHEMA) fail("schema", `"${TRACE_SCHEMA}"`, schema);
  trace(value, "run");
  return value as RunTrace;
}
