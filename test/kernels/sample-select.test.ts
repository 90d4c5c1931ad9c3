import { describe, expect, test } from "vitest";
import { Recorder } from "../../src/gpu/recorder.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { binned, keptCount, rank } from "../reference/sample.ts";
import { readWords, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();
const BINS = 1024;
const NATS = 32;

/** What sample_select says of a vocabulary: (key, id) of the last token kept; and the histogram. */
async function select(
  logits: Float32Array,
  WORKGROUP_SIZE: number,
  { temperature = 1, topK = 0, topP = 1 },
): Promise<{ key: number; id: number; histogram: Uint32Array }> {
  const kernel = (name: string, flags: string[], constants: Record<string, number>) =>
    gpu.kernels.get({ name, flags, constants });
  const partial = await kernel("argmax_partial", ["KEYS"], {});
  const histogramKernel = await kernel("sample_histogram", [], { WORKGROUP_SIZE, VEC4S: 3 });
  const cut = await kernel("sample_select", [], { WORKGROUP_SIZE });
  const words = Math.ceil(logits.length / 4) * 4;
  const groups = Math.ceil(logits.length / 4096);
  const padded = new Float32Array(words).fill(1e30);
  padded.set(logits);
  const zeros = (count: number) => storageBuffer(gpu, new Uint32Array(count).fill(0xaaaaaaaa));
  const buffers = {
    logits: storageBuffer(gpu, padded),
    seen: storageBuffer(gpu, new Uint32Array(Math.ceil(words / 32))),
    partials: zeros(groups * 64 * 2),
    keys: zeros(words),
    histogram: zeros(2 * BINS),
    selection: zeros(2),
  };
  const { partials, keys, histogram, selection } = buffers;
  const recorder = new Recorder(gpu.device, gpu.buffers, 3, "select test");
  const bins = {
    bins_per_logit: BINS / (NATS * temperature),
    range: NATS * temperature,
  };
  recorder.run(
    partial,
    { logits: buffers.logits, seen: buffers.seen, partials, keys, histogram },
    { vocab_size: logits.length, penalty: 1, inv_penalty: 1 },
    [groups, 1, 1],
  );
  const grid = Math.ceil(words / (4 * 3 * WORKGROUP_SIZE));
  recorder.run(histogramKernel, { partials, keys, histogram }, bins, [grid, 1, 1]);
  const params = { ...bins, top_k: topK, top_p: topP };
  const bound = { partials, keys, histogram, selection };
  recorder.run(cut, bound, params, [1, 1, 1]);
  recorder.submit();
  const [key, id] = await readWords(gpu, selection);
  const bars = await readWords(gpu, histogram);
  recorder.destroy();
  for (const buffer of Object.values(buffers)) gpu.buffers.destroy(buffer);
  return { key, id, histogram: bars };
}

/** An integer that orders like the logit. */
function orderKey(logit: number): number {
  const bits = new Uint32Array(Float32Array.of(logit === 0 ? 0 : logit).buffer)[0];
  return bits >= 0x80000000 ? ~bits >>> 0 : bits + 0x80000000;
}

/** Fails unless the kept tokens are the first `least` to `most` in the twin's order. */
async function expectKept(
  logits: Float32Array,
  WORKGROUP_SIZE: number,
  options: { temperature?: number; topK?: number; topP?: number },
): Promise<number> {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  const ranked = rank(logits, temperature);
  const floor = Math.fround(logits[ranked.ids[0]] - Math.fround(NATS * temperature));
  const weighed = ranked.ids.filter((id) => logits[id] >= floor);
  const { key, id: last } = await select(logits, WORKGROUP_SIZE, options);
  const isKept = (id: number): boolean =>
    orderKey(logits[id]) > key || (orderKey(logits[id]) === key && id <= last);
  const kept = weighed.filter(isKept);
  expect(kept).toEqual(weighed.slice(0, kept.length));
  const counts = [1 - 1e-5, 1, 1 + 1e-5].map((p) =>
    Math.min(weighed.length, keptCount(ranked, { topK, topP: topP < 1 ? topP * p : 1, minP: 0 })),
  );
  const [least, , most] = counts;
  if (kept.length < least || kept.length > most) {
    throw new Error(`${JSON.stringify(options)}: kept ${kept.length}, not ${least} to ${most}`);
  }
  return kept.length;
}

/** Logits that are hard to order or to bin. */
const KINDS: Record<string, (random: ReturnType<typeof seededRandom>) => number> = {
  normal: (random) => 3 * random.normal(),
  tied: (random) => Math.round(4 * random.normal()) / 2,
  equal: () => -7.25,
  "nearly equal": (random) => 11 + random.integer(5) * 2 ** -20,
  "around zero": (random) => random.normal() * 1e-30,
  "signed zeros": (random) => (random.integer(2) === 0 ? -0 : 0),
  masked: (random) => [-Infinity, -3e38, random.normal()][random.integer(3)],
  wide: (random) => 1000 * random.normal(),
  peaked: (random) => (random.integer(500) === 0 ? 15 : 0) + random.normal(),
};

describe("sample_select, 64 invocations", () => {
  test.each(Object.keys(KINDS))("%s logits: top-k is exact", async (kind) => {
    const random = seededRandom(1);
    for (const vocabSize of [1, 3, 257, 5003]) {
      const logits = Float32Array.from({ length: vocabSize }, () => KINDS[kind](random));
      logits[random.integer(vocabSize)] = 1.5;
      const counts = [1, 2, 40, 1000, vocabSize - 1, vocabSize, vocabSize + 1];
      for (const topK of counts.filter((count) => count > 0)) {
        await expectKept(logits, 64, { topK });
      }
    }
  });

  test.each(Object.keys(KINDS))("%s logits: top-p, alone and after top-k", async (kind) => {
    const random = seededRandom(2);
    for (const vocabSize of [257, 5003]) {
      const logits = Float32Array.from({ length: vocabSize }, () => KINDS[kind](random));
      for (const topP of [1e-7, 0.1, 0.5, 0.95, 0.9999999]) {
        await expectKept(logits, 64, { topP });
        await expectKept(logits, 64, { topP, topK: 50, temperature: 2.5 });
      }
    }
  });
});

describe("sample_select, 256 invocations", () => {
  test.each(Object.keys(KINDS))("%s logits", async (kind) => {
    const random = seededRandom(3);
    const logits = Float32Array.from({ length: 5003 }, () => KINDS[kind](random));
    for (const options of [{ topK: 40 }, { topK: 4000 }, { topP: 0.6 }, { topK: 9, topP: 0.4 }]) {
      await expectKept(logits, 256, options);
    }
  });
});

describe("sample_histogram", () => {
  test.each(Object.keys(KINDS))(
    "%s logits: counts are exact, excesses to half a unit",
    async (kind) => {
      const random = seededRandom(4);
      const logits = Float32Array.from({ length: 5003 }, () => KINDS[kind](random));
      for (const workgroupSize of [64, 256]) {
        for (const temperature of [0.1, 1]) {
          const { histogram } = await select(logits, workgroupSize, { temperature, topK: 9 });
          const { counts, excesses } = binned(logits, temperature);
          expect([...histogram.subarray(0, BINS)]).toEqual(counts);
          // Half a unit for rounding, and f32 for what is rounded.
          excesses.forEach((excess, bin) => {
            const off = Math.abs(histogram[BINS + bin] - excess);
            if (off > counts[bin] * 0.51) throw new Error(`bin ${bin}: off by ${off}`);
          });
        }
      }
    },
  );
});

describe("sample_select", () => {
  test("temperatures from almost none to very high", async () => {
    const logits = seededRandom(3).normals(5003, 4);
    for (const temperature of [1e-6, 1e-3, 0.05, 7, 100]) {
      for (const topK of [0, 1, 300]) {
        await expectKept(logits, 64, { temperature, topK, topP: 0.8 });
      }
    }
  });

  test.each([49152, 151936])("%i logits", async (vocabSize) => {
    const logits = seededRandom(vocabSize).normals(vocabSize, 3);
    const options = [{ topK: 40 }, { topK: 30000 }, { topP: 0.9 }, { topK: 1000, topP: 0.7 }];
    for (const option of options) await expectKept(logits, 64, option);
    logits.fill(2);
    expect(await expectKept(logits, 64, { topK: 12345 })).toBe(12345);
    expect(await expectKept(logits, 64, { topP: 0.25 })).toBeCloseTo(vocabSize / 4, -1);
  });

  test("the largest vocabulary, all equal: no counter overflows", async () => {
    const logits = new Float32Array(2 ** 18).fill(-1);
    expect(await expectKept(logits, 256, { topP: 0.75 })).toBeCloseTo(0.75 * 2 ** 18, -1);
    expect(await expectKept(logits, 256, { topK: 2 ** 18 - 1 })).toBe(2 ** 18 - 1);
  });
});
