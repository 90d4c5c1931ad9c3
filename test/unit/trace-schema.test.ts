import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "vitest";
import { BUFFER_PURPOSES } from "../../src/gpu/buffers.ts";
import { parseTrace, type RunTrace, TRACE_JSON_SCHEMA, traceToJson } from "../../src/profile.ts";
import { sampleTrace } from "./sample-trace.ts";

const validate = new Ajv2020({ discriminator: true }).compile(TRACE_JSON_SCHEMA);

/** A run with a bit of everything that one can hold. */
function smallRun(): RunTrace {
  const run = sampleTrace();
  return {
    ...run,
    base: [{ id: 9, label: "x", purpose: "kv", bytes: 1, usage: 0, layer: 1, at: 0 }],
    events: [...run.events.slice(0, 1), ...run.events.slice(-1)],
    phases: run.phases.slice(0, 2),
    samples: run.samples.slice(1, 2),
    kernels: { ...run.kernels, unavailable: "why" },
    tokens: run.tokens!.slice(0, 1),
    kept: [[[0, 1], []]],
    scores: [{ position: 0, heads: [[null, { score: 0.5, rank: 1, of: 64 }]] }],
  };
}

const WRONG: readonly unknown[] = [null, -1, 1.5, 2 ** 60, "x", true, [], {}, undefined];

/** The value with one part after the other replaced by something else, or left out. */
function* spoilt(value: unknown): Generator<unknown> {
  for (const wrong of WRONG) yield wrong;
  if (Array.isArray(value)) {
    for (const [at, item] of value.slice(0, 2).entries()) {
      for (const other of spoilt(item)) yield value.with(at, other);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      for (const other of spoilt(item)) yield { ...value, [name]: other };
    }
  }
}

/** With which error a text is refused. */
function refusal(text: string): unknown {
  try {
    parseTrace(text);
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

test("an exported run is valid by its schema", () => {
  for (const run of [sampleTrace(), smallRun()]) {
    validate(JSON.parse(traceToJson(run)));
    expect(validate.errors).toBeNull();
  }
});

test("what is read back is what a validator of JSON Schema lets through, and nothing else", () => {
  const counts = { good: 0, bad: 0 };
  for (const run of spoilt(smallRun())) {
    const text = JSON.stringify(run) ?? "";
    const isValid = text !== "" && validate(JSON.parse(text));
    expect(refusal(text), text).toBe(isValid ? undefined : "invalid-option");
    counts[isValid ? "good" : "bad"]++;
  }
  expect(counts.good).toBeGreaterThan(100);
  expect(counts.bad).toBeGreaterThan(500);
});

test("the schema knows the ledger's purposes", () => {
  expect(TRACE_JSON_SCHEMA.$defs!["buffer"].properties!["purpose"].enum).toEqual(BUFFER_PURPOSES);
});
