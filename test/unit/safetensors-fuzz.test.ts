import { describe, expect, it } from "vitest";
import { LlmError } from "../../src/errors.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { readSafetensors, type SafetensorsFile } from "../../src/formats/safetensors.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { seededRandom } from "../random.ts";
import { buildSafetensors, type SafetensorsTensor } from "../reference/write_safetensors.ts";
import { JSON_TOKENS, mutationsOf } from "./mutations.ts";

const MUTANTS = 12_000;
const SEED = 20_262;
/** Generous for a machine that does other work; a typical mutant takes well under a millisecond. */
const MAX_MS_EACH = 2000;
const MAX_GROWTH_BYTES = 128 * 1024 * 1024;

const random = seededRandom(SEED);

const SHAPES: readonly (readonly [string, "F32" | "F16" | "BF16" | "I64", readonly number[]])[] = [
  ["model.embed_tokens.weight", "BF16", [16, 32]],
  ["model.layers.0.self_attn.q_proj.weight", "F16", [8, 32]],
  ["model.layers.0.input_layernorm.weight", "F32", [32]],
  ["model.layers.0.é", "F32", []],
  ["position_ids", "I64", [1, 4]],
];

const sample = buildSafetensors(
  SHAPES.map(([name, dtype, shape]): SafetensorsTensor => {
    const bytesEach = { F32: 4, F16: 2, BF16: 2, I64: 8 }[dtype];
    const length = shape.reduce((product, size) => product * size, bytesEach);
    return { name, dtype, shape, data: Uint8Array.from({ length }, () => random.integer(256)) };
  }),
  { format: "pt" },
);
const dataStart = 8 + Number(new DataView(sample.buffer).getBigUint64(0, true));
const mutations = mutationsOf(random, {
  end: dataStart,
  tokens: [
    ...JSON_TOKENS,
    "null",
    '"F32"',
    '"F16"',
    "18446744073709551615",
    "\\ud800",
    "__metadata__",
  ],
});

/** What is wrong with a file that was read without an error; undefined where it is sound. */
function unsound(file: SafetensorsFile, bytes: Uint8Array): string | undefined {
  let end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  for (const info of [...file.tensors.values()].sort(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (!info.shape.every((length) => Number.isSafeInteger(length) && length >= 0)) return "shape";
    if (info.offset !== end) return `offset of ${info.name}`;
    end = info.offset + info.bytes;
  }
  return end === bytes.length ? undefined : "an end that is not the file's";
}

describe("the safetensors reader under mutation", () => {
  it(`ends ${MUTANTS} mutants in a typed error or a sound file`, { timeout: 120_000 }, async () => {
    const counts: Record<string, number> = {};
    const failures: string[] = [];
    let slowest = 0;
    let growth = 0;
    let mostRead = 0;
    const usedBytes = (): number => {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const before = usedBytes();
    for (let i = 0; i < MUTANTS; i++) {
      const [kind, mutate] = mutations[i % mutations.length];
      const bytes = mutate(sample.slice());
      const plain = bufferSource(bytes, "mutant");
      let read = 0;
      const source: ByteSource = {
        ...plain,
        read: (offset, length) => {
          read += length;
          return plain.read(offset, length);
        },
      };
      const start = performance.now();
      const outcome = await readSafetensors(source).then(
        (file) => unsound(file, bytes) ?? "sound",
        (error: unknown) => (error instanceof LlmError ? error.name : (error as Error)),
      );
      slowest = Math.max(slowest, performance.now() - start);
      growth = Math.max(growth, usedBytes() - before);
      mostRead = Math.max(mostRead, read);
      const label = outcome instanceof Error ? "untyped" : outcome;
      if (outcome instanceof Error) failures.push(`${i} (${kind}): ${outcome.stack}`);
      counts[label] = (counts[label] ?? 0) + 1;
    }
    console.log(
      `safetensors fuzz, seed ${SEED}: ${JSON.stringify(counts)}; slowest ${slowest.toFixed(1)} ms, ` +
        `growth ${(growth / 1e6).toFixed(0)} MB`,
    );
    expect(failures.slice(0, 3)).toEqual([]);
    expect(Object.keys(counts).sort()).toEqual([
      "ModelFormatError",
      "UnsupportedModelError",
      "sound",
    ]);
    expect(slowest).toBeLessThan(MAX_MS_EACH);
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
    expect(mostRead).toBeLessThanOrEqual(sample.length * 2);
    // The mutations do reach both sides.
    expect(counts["ModelFormatError"]).toBeGreaterThan(MUTANTS / 3);
    expect(counts["sound"]).toBeGreaterThan(MUTANTS / 20);
  });
});
