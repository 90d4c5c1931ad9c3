import { describe, expect, test } from "vitest";
import { ModelFormatError } from "../../src/errors.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import {
  readRopeFactors,
  type RopeOptions,
  ropeFrequencies,
  ropeTurns,
} from "../../src/model/rope.ts";

/** `inv_freq` of `LlamaRotaryEmbedding`, transformers 5.2.0, every third pair. */
const TRANSFORMERS: Record<string, { options: RopeOptions; frequencies: number[] }> = {
  "no scaling": {
    options: { theta: 10000, dim: 32 },
    frequencies: [1, 0.177827939, 0.0316227786, 0.00562341325, 0.00100000005, 0.00017782794],
  },
  "linear scaling": {
    options: { theta: 10000, dim: 32, scale: 4 },
    frequencies: [0.25, 0.0444569848, 0.00790569466, 0.00140585331, 0.000250000012, 4.44569851e-5],
  },
  "Llama 3 scaling": {
    options: {
      theta: 500000,
      dim: 64,
      llama3: { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
    },
    frequencies: [
      1, 0.292227834, 0.0853971019, 0.0249554086, 0.00729266508, 0.00129054801, 1.94616387e-5,
      5.68723226e-6, 1.66196742e-6, 4.85673127e-7, 1.41927202e-7,
    ],
  },
};

describe("ropeFrequencies", () => {
  for (const [name, { options, frequencies }] of Object.entries(TRANSFORMERS)) {
    test(`${name}: as transformers`, () => {
      const ours = ropeFrequencies(options);
      expect(ours.length).toBe(options.dim / 2);
      frequencies.forEach((theirs, i) => {
        expect(Math.abs(ours[3 * i] / theirs - 1)).toBeLessThan(3e-7);
      });
    });
  }

  test("explicit factors divide", () => {
    const plain = ropeFrequencies({ theta: 10000, dim: 16 });
    const factors = [1, 1, 2, 4, 8, 8, 8, 32];
    const ours = ropeFrequencies({ theta: 10000, dim: 16, factors });
    expect(ours).toEqual(plain.map((frequency, i) => frequency / factors[i]));
  });
});

describe("readRopeFactors", () => {
  const read = (...factors: number[]): Promise<Float32Array> => {
    const data = Float32Array.from(factors);
    const shape = [factors.length];
    const info = { name: "rope_freqs.weight", shape, offset: 0, bytes: data.byteLength };
    const source = bufferSource(new Uint8Array(data.buffer), "m.gguf");
    return readRopeFactors(source, { ...info, type: "F32" });
  };

  test("gives what the tensor has; huge ones keep a pair from turning", async () => {
    expect(await read(1, 0.25, 8, 2 ** 99)).toEqual(Float32Array.of(1, 0.25, 8, 2 ** 99));
  });

  test.each([
    [0, "at least 0.000001, got 0 at 2"],
    [-8, "at least 0.000001, got -8 at 2"],
    [2 ** -149, "at least 0.000001, got 1.4"],
    [Number.NaN, "finite numbers, got 1 that are not"],
    [Infinity, "finite numbers, got 1 that are not"],
  ])("refuses %s", async (factor, says) => {
    const error: unknown = await read(1, 1, factor, 4).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ModelFormatError);
    expect(String(error)).toContain('m.gguf: tensor "rope_freqs.weight" should be');
    expect(String(error)).toContain(says);
  });
});

describe("ropeTurns", () => {
  test("position times turns, in u32 arithmetic, is the fraction of a turn", () => {
    const frequencies = ropeFrequencies({ theta: 500000, dim: 64 });
    const turns = ropeTurns(frequencies);
    for (const position of [1, 8191, 131071, 2 ** 20 - 1]) {
      frequencies.forEach((frequency, i) => {
        const fine = Math.imul(turns[frequencies.length + i], position) >>> 12;
        const turn = ((Math.imul(turns[i], position) + fine) >>> 0) / 2 ** 32;
        const exact = (position * frequency) / (2 * Math.PI);
        const error = Math.abs(turn - exact + Math.round(exact - turn));
        expect(error * 2 * Math.PI).toBeLessThan(1.5e-9 + position * 3.6e-13);
      });
    }
  });
});
