import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { LlmError, ModelFormatError, UnsupportedModelError } from "../../src/errors.ts";
import { dequantize } from "../../src/formats/blocks.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import {
  readSafetensors,
  type SafetensorsDtype,
  type SafetensorsFile,
} from "../../src/formats/safetensors.ts";
import { readSafetensorsIndex } from "../../src/formats/safetensors-index.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { goldenPath } from "../golden/format.ts";
import { seededRandom } from "../random.ts";
import { buildSafetensors, type SafetensorsTensor } from "../reference/write_safetensors.ts";

interface Golden {
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bits: readonly number[];
  }[];
  readonly verdicts: readonly {
    readonly name: string;
    readonly opens: boolean;
    readonly file: string;
  }[];
}

const golden = JSON.parse(readFileSync(goldenPath("safetensors-types.json"), "utf8")) as Golden;
const typesFile = new Uint8Array(readFileSync(goldenPath("safetensors-types.safetensors")));

const read = (bytes: Uint8Array): Promise<SafetensorsFile> =>
  readSafetensors(bufferSource(bytes, "model.safetensors"));

async function failure(bytes: Uint8Array): Promise<LlmError> {
  const error: unknown = await read(bytes).then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof LlmError)) throw new Error("no typed error", { cause: error });
  return error;
}

const DTYPES: Readonly<Record<string, SafetensorsDtype>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  bool: "BOOL",
};

describe("a file that Python wrote", () => {
  test("has its metadata, names, types and shapes", async () => {
    const file = await read(typesFile);
    expect(Object.fromEntries(file.metadata)).toEqual({ format: "pt", café: "日本" });
    const found = [...file.tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape]);
    const expected = golden.tensors.map(({ name, dtype, shape }) => [name, DTYPES[dtype], shape]);
    expect(found.sort()).toEqual(expected.sort());
  });

  test("has its values, bit for bit", async () => {
    const { tensors } = await read(typesFile);
    let compared = 0;
    for (const { name, shape, bits } of golden.tensors) {
      const { dtype, offset, bytes } = tensors.get(name)!;
      if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") continue;
      const count = shape.reduce((product, size) => product * size, 1);
      const values = dequantize(dtype, typesFile.subarray(offset, offset + bytes), count);
      expect([...new Int32Array(values.buffer)], name).toEqual(bits);
      compared++;
    }
    expect(compared).toBe(7);
  });
});

describe("the reference implementation's verdicts", () => {
  // The format's description wants the header to begin with "{"; the package lets white space pass.
  const STRICTER = new Set(["a space before it"]);
  for (const { name, opens, file } of golden.verdicts) {
    test(`${name}: ${opens ? "opens" : "refused"}`, async () => {
      const bytes = new Uint8Array(Buffer.from(file, "base64"));
      if (opens && !STRICTER.has(name)) await read(bytes);
      else await failure(bytes);
    });
  }

  test("reach both sides", () => {
    expect(golden.verdicts.filter(({ opens }) => opens).length).toBeGreaterThan(15);
  });
});

describe("what the reference lets pass", () => {
  const header = (text: string, dataBytes = 4): Uint8Array => {
    const bytes = new Uint8Array(8 + text.length + dataBytes);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(Buffer.from(text), 8);
    return bytes;
  };
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';

  test("a name that stands twice, also when spelled differently", async () => {
    for (const twin of ["a", "\\u0061"]) {
      const error = await failure(header(`{"a":${entry},"${twin}":${entry}}`));
      expect(error.message).toContain('key "a" should be there once');
    }
  });

  test("a key of an entry that stands twice", async () => {
    const twice = entry.replace("}", ',"shape":[1]}');
    expect((await failure(header(`{"a":${twice}}`))).message).toContain('key "shape"');
  });

  test("the same keys in different objects, and as values, are fine", async () => {
    const file = await read(
      header(
        `{"__metadata__":{"shape":"shape","a\\"":"{,\\"a\\":"},"a":${entry},` +
          `"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}`,
      ),
    );
    expect([...file.tensors.keys()]).toEqual(["a", "b"]);
  });

  test("an unknown dtype is named", async () => {
    const error = await failure(header(`{"a":${entry.replace("F32", "Q7")}}`));
    expect(error).toBeInstanceOf(UnsupportedModelError);
    expect(error.message).toContain('dtype "Q7" of tensor "a"');
  });
});

test("a long header is read in pieces, never as one", async () => {
  const name = "n".repeat(1000);
  const tensors = Array.from({ length: 9000 }, (_, i): SafetensorsTensor => {
    return { name: `${name}${i}`, dtype: "U8", shape: [1], data: Uint8Array.of(i & 255) };
  });
  const bytes = buildSafetensors(tensors);
  let largest = 0;
  const plain = bufferSource(bytes, "model.safetensors");
  const source: ByteSource = {
    ...plain,
    read: (offset, length) => {
      largest = Math.max(largest, length);
      return plain.read(offset, length);
    },
  };
  expect((await readSafetensors(source)).tensors.size).toBe(9000);
  expect(bytes.length).toBeGreaterThan(9e6);
  expect(largest).toBe(4 * 1024 * 1024);
});

test("any tensors come back as they were written", async () => {
  const dtypes = { U8: 1, F16: 2, BF16: 2, F32: 4, F64: 8 } as const;
  const tensor = fc.record({
    name: fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
    dtype: fc.constantFrom(...(Object.keys(dtypes) as (keyof typeof dtypes)[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  });
  const list = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(list, fc.integer(), async (described, seed) => {
      const random = seededRandom(seed);
      const tensors = described.map(({ name, dtype, shape }): SafetensorsTensor => {
        const length = shape.reduce((product, size) => product * size, dtypes[dtype]);
        const data = Uint8Array.from({ length }, () => random.integer(256));
        return { name, dtype, shape, data };
      });
      const bytes = buildSafetensors(tensors, { format: "pt" });
      const file = await read(bytes);
      expect(file.tensors.size).toBe(tensors.length);
      for (const { name, dtype, shape, data } of tensors) {
        const info = file.tensors.get(name)!;
        expect([info.dtype, info.shape]).toEqual([dtype, shape]);
        expect(bytes.subarray(info.offset, info.offset + info.bytes)).toEqual(data);
      }
    }),
    { seed: 20_261, numRuns: 200 },
  );
});

describe("the index of shards", () => {
  const index = (text: string) =>
    readSafetensorsIndex(bufferSource(Buffer.from(text), "model.safetensors.index.json"));

  it("tells which shard has which tensor", async () => {
    const map = { b: "model-2.safetensors", a: "model-1.safetensors", c: "model-1.safetensors" };
    const text = JSON.stringify({ metadata: { total_size: 1 }, weight_map: map });
    const { shards, weightMap } = await index(text);
    expect(shards).toEqual(["model-1.safetensors", "model-2.safetensors"]);
    expect(Object.fromEntries(weightMap)).toEqual(map);
  });

  const BAD_NAMES = [
    "../model.safetensors",
    "/model.safetensors",
    "a/model.safetensors",
    "a\\model.safetensors",
    "c:model.safetensors",
    "https://example.org/model.safetensors",
    "model.safetensors?x",
    "%2e%2e%2fmodel.safetensors",
    ".hidden.safetensors",
    "model\0.safetensors",
    "model.safetensors\n",
    "model.bin",
    "",
    7,
  ];
  for (const shard of BAD_NAMES) {
    it(`refuses the shard ${JSON.stringify(shard)}`, async () => {
      const text = JSON.stringify({ weight_map: { a: shard } });
      await expect(index(text)).rejects.toThrow(ModelFormatError);
    });
  }

  for (const text of ["", "[]", "{}", '{"weight_map":{}}', '{"weight_map":[]}', "{"]) {
    it(`refuses ${JSON.stringify(text)}`, async () => {
      await expect(index(text)).rejects.toThrow(ModelFormatError);
    });
  }

  it("refuses a tensor in two shards", async () => {
    const text = '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}';
    await expect(index(text)).rejects.toThrow('key "a" should be there once');
  });
});
