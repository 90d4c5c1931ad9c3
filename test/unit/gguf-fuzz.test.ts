import { describe, expect, it } from "vitest";
import { LlmError } from "../../src/errors.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import { readVector, streamMatrix } from "../../src/formats/stream.ts";
import { TENSOR_TYPES, tensorBytes } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { seededRandom } from "../random.ts";
import { sampleGguf, SAMPLE_METADATA } from "../reference/sample_gguf.ts";
import { buildGguf } from "../reference/write_gguf.ts";

const MUTANTS = 20_000;
const SEED = 20_261;
/** Generous for a machine that does other work; a typical mutant takes well under a millisecond. */
const MAX_MS_EACH = 2000;
const MAX_GROWTH_BYTES = 128 * 1024 * 1024;

const sample = buildGguf(sampleGguf());
const dataStart = Buffer.from(sample).indexOf("blk.0.ffn_down.weight") + 60;
const fields = fieldOffsets();
const random = seededRandom(SEED);

/** Where lengths, counts, types, dimensions and offsets stand: around each key and tensor name. */
function fieldOffsets(): readonly number[] {
  const offsets = [4, 8, 16];
  const names = sampleGguf().tensors.map(({ name }) => name);
  for (const name of [...Object.keys(SAMPLE_METADATA), ...names]) {
    const at = Buffer.from(sample).indexOf(name);
    const end = at + name.length;
    offsets.push(at - 8, end, end + 4, end + 8, end + 12, end + 20, end + 24);
  }
  return offsets;
}

const NASTY = [
  0n,
  1n,
  31n,
  33n,
  255n,
  2n ** 16n,
  2n ** 31n - 1n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** One damage of each kind; the header is hit far more often than the data. */
const MUTATIONS: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  "bit flips": (bytes) => {
    const flips = 1 + random.integer(4);
    for (let i = 0; i < flips; i++) bytes[position(bytes)] ^= 1 << random.integer(8);
    return bytes;
  },
  truncation: (bytes) => bytes.subarray(0, position(bytes)),
  "field overwrite": (bytes) => {
    const at = Math.min(fields[random.integer(fields.length)], bytes.length - 8);
    const wide = random.integer(3) > 0;
    const value =
      random.integer(4) > 0 ? NASTY[random.integer(NASTY.length)] : BigInt(random.integer(2 ** 32));
    const view = new DataView(bytes.buffer);
    if (wide) view.setBigUint64(at, value, true);
    else view.setUint32(at, Number(value & 0xffffffffn), true);
    return bytes;
  },
  "random bytes": (bytes) => {
    const from = position(bytes);
    const to = Math.min(bytes.length, from + 1 + random.integer(16));
    for (let i = from; i < to; i++) bytes[i] = random.integer(256);
    return bytes;
  },
  "splice out": (bytes) => {
    const from = position(bytes);
    return joined(bytes.subarray(0, from), bytes.subarray(from + 1 + random.integer(64)));
  },
  "splice in": (bytes) => {
    const from = position(bytes);
    const to = position(bytes);
    const piece = bytes.slice(from, from + 1 + random.integer(200));
    return joined(bytes.subarray(0, to), piece, bytes.subarray(to));
  },
  "copy over": (bytes) => {
    const from = position(bytes);
    bytes.copyWithin(position(bytes), from, from + 1 + random.integer(200));
    return bytes;
  },
};

/** A place to damage: nine times of ten in the header. */
function position(bytes: Uint8Array): number {
  const end = random.integer(10) > 0 ? Math.min(dataStart, bytes.length) : bytes.length;
  return random.integer(end);
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

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

/** Reads the header and, where that is sound, all tensors, as loading does. */
async function load(source: ByteSource): Promise<GgufFile> {
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
  return file;
}

function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe("the GGUF reader under mutation", () => {
  it(`ends ${MUTANTS} mutants in a typed error or a sound file`, { timeout: 120_000 }, async () => {
    const kinds = Object.entries(MUTATIONS);
    const counts: Record<string, number> = {};
    const failures: string[] = [];
    let slowest = 0;
    let mostRead = 0;
    let growth = 0;
    const before = usedBytes();
    for (let i = 0; i < MUTANTS; i++) {
      const [kind, mutate] = kinds[i % kinds.length];
      const bytes = mutate(sample.slice());
      let read = 0;
      const plain = bufferSource(bytes, "mutant");
      const source: ByteSource = {
        ...plain,
        read: (offset, length) => {
          read += length;
          return plain.read(offset, length);
        },
      };
      const start = performance.now();
      const outcome: unknown = await load(source).catch((error: unknown) => error);
      slowest = Math.max(slowest, performance.now() - start);
      mostRead = Math.max(mostRead, read / bytes.length);
      growth = Math.max(growth, usedBytes() - before);
      const typed = outcome instanceof LlmError;
      if (outcome instanceof Error && !typed) failures.push(`${i} (${kind}): ${outcome.stack}`);
      const label = typed ? outcome.name : "sound";
      counts[label] = (counts[label] ?? 0) + 1;
    }
    console.log(
      `GGUF fuzz, seed ${SEED}: ${JSON.stringify(counts)}; slowest ${slowest.toFixed(1)} ms, ` +
        `growth ${(growth / 1e6).toFixed(0)} MB, read at most ${mostRead.toFixed(1)} times the file`,
    );
    expect(failures.slice(0, 3)).toEqual([]);
    expect(slowest).toBeLessThan(MAX_MS_EACH);
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
    // The header through its window, then the tensors once.
    expect(mostRead).toBeLessThan(2.1);
    // The mutations do reach both sides.
    expect(counts["ModelFormatError"]).toBeGreaterThan(MUTANTS / 3);
    expect(counts["sound"]).toBeGreaterThan(MUTANTS / 20);
    expect(counts["UnsupportedModelError"]).toBeGreaterThan(10);
  });
});
