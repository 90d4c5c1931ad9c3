import { describe, expect, it } from "vitest";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import { loadBytes } from "../../src/engine/smaller-weights.ts";
import { LlmError } from "../../src/errors.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import { readVector, streamMatrix } from "../../src/formats/stream.ts";
import { TENSOR_TYPES, tensorBytes } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { modelLayouts } from "../../src/model/layouts.ts";
import { modelTensors } from "../../src/model/model-tensors.ts";
import { openModel } from "../../src/model/open-model.ts";
import { readRopeFactors, ropeFrequencies } from "../../src/model/rope.ts";
import { quantizeOnLoad } from "../../src/model/quantize-plan.ts";
import { interleavedRows, stackedRows } from "../../src/model/row-runs.ts";
import { seededRandom } from "../random.ts";
import { sampleGguf, sampleModel } from "../reference/sample_gguf.ts";
import { type GgufContent } from "../reference/write_gguf.ts";
import { ggufMutations, unfitGguf } from "./gguf-mutations.ts";

const MUTANTS = 20_000;
const SEED = 20_261;
/** Generous for a machine that does other work; a typical mutant takes well under a millisecond. */
const MAX_MS_EACH = 2000;
const MAX_GROWTH_BYTES = 128 * 1024 * 1024;

/** What is wrong with a file that was read without an error; undefined where it is sound. */
function unsound(file: GgufFile, size: number): string | undefined {
  if (file.version !== 2 && file.version !== 3) return `version ${String(file.version)}`;
  let end = 0;
  for (const info of [...file.tensors.values()].sort((a, b) => a.offset - b.offset)) {
    const elements = info.shape.reduce((product, length) => product * length, 1);
    if (!TENSOR_TYPES.includes(info.type)) return `type of ${info.name}`;
    if (!info.shape.every((length) => Number.isSafeInteger(length) && length > 0)) return "shape";
    if (info.bytes !== tensorBytes(info.type, elements)) return `bytes of ${info.name}`;
    if (info.offset < end || info.offset % 8 !== 0) return `offset of ${info.name}`;
    end = info.offset + info.bytes;
  }
  return end > size ? "a tensor past the end" : undefined;
}

/** Reads the header and, where that is sound, all tensors. */
async function read(source: ByteSource): Promise<void> {
  const file = await readGguf(source);
  const problem = unsound(file, source.size);
  if (problem !== undefined) throw new Error(`read, but not sound: ${problem}`);
  for (const info of file.tensors.values()) {
    if (info.shape.length === 1) await readVector(source, info);
    else {
      let rows = 0;
      for await (const chunk of streamMatrix(source, info)) rows += chunk.rowCount;
      if (rows !== info.shape[0]) throw new Error(`${rows} rows of ${info.name}`);
    }
  }
}

/** Opens a model, finds and reads its weights as a load does, and lays out a conversation. */
async function open(source: ByteSource): Promise<void> {
  const { file, config, tokenizer } = await openModel({ file: source });
  const tensors = modelTensors(file, config);
  modelLayouts(file, config);
  const cache = resolveCacheOptions({}, config.numLayers);
  const bytes = loadBytes(quantizeOnLoad(file, "q4"), config, cache);
  if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new Error(`${bytes} bytes to load`);

  const factors = tensors.ropeFactors && (await readRopeFactors(source, tensors.ropeFactors));
  const { ropeTheta: theta, ropeDim: dim, ropeScale: scale } = config;
  const frequencies = ropeFrequencies({ theta, dim, scale, ...(factors && { factors }) });
  if (!frequencies.every(Number.isFinite)) throw new Error(`frequencies ${frequencies.join()}`);

  for (const layer of tensors.layers) {
    for (const info of [layer.attentionNorm, layer.ffnNorm]) await readVector(source, info);
    const { queries, keys, values, output, down } = layer;
    const stacked = stackedRows([queries, keys, values, output, down]);
    for (const run of [...stacked, ...interleavedRows(layer.gate, layer.up)]) {
      let rows = 0;
      for await (const chunk of run.chunks(source, { onBytes: () => {} })) rows += chunk.rowCount;
      if (rows !== run.rows) throw new Error(`${rows} rows instead of ${run.rows}`);
    }
  }

  const messages = [{ role: "user", content: "Hi <|im_start|>" }] as const;
  const ids = [...tokenizer.encode("t tok1 \u00e9"), ...tokenizer.encodeChat(messages)];
  for (const id of [...ids, ...tokenizer.eosTokenIds]) {
    if (!(id < config.vocabSize)) throw new Error(`id ${id}`);
    tokenizer.tokenBytes(id);
  }
}

function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/**
 * Checks that `use` of each mutant ends in a typed error or well, in time and space. Gives how many ended how, and how
 * often over a file was read at most.
 */
async function fuzz(
  mutants: Iterable<readonly [kind: string, bytes: Uint8Array]>,
  use: (source: ByteSource) => Promise<void>,
): Promise<{ readonly counts: Readonly<Record<string, number>>; readonly mostRead: number }> {
  const counts: Record<string, number> = {};
  const failures: string[] = [];
  let slowest = 0;
  let mostRead = 0;
  let growth = 0;
  const before = usedBytes();
  for (const [kind, bytes] of mutants) {
    let amount = 0;
    const plain = bufferSource(bytes, "mutant");
    const source: ByteSource = {
      ...plain,
      read: (offset, length) => {
        amount += length;
        return plain.read(offset, length);
      },
    };
    const start = performance.now();
    const error = await use(source).catch((reason: unknown) => reason as Error);
    slowest = Math.max(slowest, performance.now() - start);
    mostRead = Math.max(mostRead, amount / bytes.length);
    growth = Math.max(growth, usedBytes() - before);
    if (error && !(error instanceof LlmError)) failures.push(`${kind}: ${error.stack}`);
    const label = error?.name ?? "sound";
    counts[label] = (counts[label] ?? 0) + 1;
  }
  console.log(
    `GGUF fuzz, seed ${SEED}: ${JSON.stringify(counts)}; slowest ${slowest.toFixed(1)} ms, ` +
      `growth ${(growth / 1e6).toFixed(0)} MB, read at most ${mostRead.toFixed(1)} times the file`,
  );
  expect(failures.slice(0, 3)).toEqual([]);
  expect(slowest).toBeLessThan(MAX_MS_EACH);
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  return { counts, mostRead };
}

/** Files with bytes damaged, the structure mostly with them. */
function* damaged(content: GgufContent): Generator<readonly [kind: string, bytes: Uint8Array]> {
  const { sound, kinds } = ggufMutations(content, seededRandom(SEED));
  for (let i = 0; i < MUTANTS; i++) {
    const [kind, mutate] = kinds[i % kinds.length];
    yield [`${kind} (${i})`, mutate(sound.slice())];
  }
}

/** Files of sound structure with values that may fit no model. */
function* unfit(content: GgufContent): Generator<readonly [kind: string, bytes: Uint8Array]> {
  const random = seededRandom(SEED);
  for (let i = 0; i < MUTANTS / 5; i++) yield [`unfit (${i})`, unfitGguf(content, random)];
}

describe("mutants end in a typed error or", { timeout: 120_000 }, () => {
  it(`a sound file (${MUTANTS} damaged ones)`, async () => {
    const { counts, mostRead } = await fuzz(damaged(sampleGguf()), read);
    // The header through its window, then the tensors once.
    expect(mostRead).toBeLessThan(2.1);
    // The mutations do reach both sides.
    expect(counts["ModelFormatError"]).toBeGreaterThan(MUTANTS / 3);
    expect(counts["sound"]).toBeGreaterThan(MUTANTS / 20);
    expect(counts["UnsupportedModelError"]).toBeGreaterThan(10);
  });

  it(`a sound model (${MUTANTS} damaged files)`, async () => {
    const { counts, mostRead } = await fuzz(damaged(sampleModel()), open);
    expect(mostRead).toBeLessThan(2.1);
    expect(counts["ModelFormatError"]).toBeGreaterThan(MUTANTS / 3);
    expect(counts["sound"]).toBeGreaterThan(MUTANTS / 40);
    expect(counts["UnsupportedModelError"]).toBeGreaterThan(100);
    expect(counts["ChatTemplateError"]).toBeGreaterThan(10);
  });

  it(`a sound model (${MUTANTS / 5} files with values that may not fit)`, async () => {
    const { counts } = await fuzz(unfit(sampleModel()), open);
    expect(counts["ModelFormatError"]).toBeGreaterThan(MUTANTS / 20);
    expect(counts["sound"]).toBeGreaterThan(MUTANTS / 50);
    expect(counts["UnsupportedModelError"]).toBeGreaterThan(50);
    expect(counts["ChatTemplateError"]).toBeGreaterThan(10);
  });
});
