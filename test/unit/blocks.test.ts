import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dequantize } from "../../src/formats/blocks.ts";
import { TENSOR_TYPES, type TensorType } from "../../src/formats/tensor-types.ts";

interface BlocksGolden {
  readonly header: {
    readonly format: number;
    readonly elements: number;
    readonly versions: { readonly gguf: string };
  };
  readonly cases: readonly {
    readonly type: TensorType;
    readonly bytes: string;
    readonly values: string;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL("../golden/data/blocks.json", import.meta.url), "utf8"),
) as BlocksGolden;

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}

describe("dequantize, against the Python package gguf", () => {
  it("has a golden for every type", () => {
    expect(golden.header.format).toBe(1);
    expect(golden.cases.map((c) => c.type).toSorted()).toEqual(TENSOR_TYPES.toSorted());
  });

  it.each(golden.cases)("$type: every value is equal to the bit", ({ type, bytes, values }) => {
    const { elements } = golden.header;
    const actual = new Uint32Array(dequantize(type, bytesOf(bytes), elements).buffer);
    const expected = new Uint32Array(bytesOf(values).buffer);
    expect(expected.length).toBe(elements);
    expect(actual).toEqual(expected);
  });

  it.each(golden.cases)("$type: reads from any byte offset", ({ type, bytes }) => {
    const { elements } = golden.header;
    const plain = bytesOf(bytes);
    const shifted = new Uint8Array(plain.length + 3);
    shifted.set(plain, 3);
    expect(dequantize(type, shifted.subarray(3), elements)).toEqual(
      dequantize(type, plain, elements),
    );
  });

  it("refuses bytes that aren't that many elements", () => {
    expect(() => dequantize("Q8_0", new Uint8Array(35), 32)).toThrow("35 bytes");
  });
});
