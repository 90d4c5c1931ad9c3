import type { Random } from "../random.ts";
import { buildGguf, type GgufContent, type GgufField } from "../reference/write_gguf.ts";
import { type Mutation, splices } from "./mutations.ts";

/** Where lengths, counts, types, dimensions and offsets stand: around each key and tensor name. */
function fieldOffsets(file: Buffer, names: readonly string[]): readonly number[] {
  const offsets = [4, 8, 16];
  for (const name of names) {
    const at = file.indexOf(name);
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

/** A sound GGUF file, and ways to damage it by name; the header is hit far more often than the data. */
export function ggufMutations(
  content: GgufContent,
  random: Random,
): {
  readonly sound: Uint8Array<ArrayBuffer>;
  readonly kinds: readonly (readonly [string, Mutation])[];
} {
  const sound = buildGguf(content);
  const names = content.tensors.map(({ name }) => name);
  const fields = fieldOffsets(Buffer.from(sound), [...Object.keys(content.metadata), ...names]);
  const dataStart = Math.max(...fields) + 8;
  /** A place to damage: nine times of ten in the header. */
  const position = (bytes: Uint8Array): number => {
    const end = random.integer(10) > 0 ? Math.min(dataStart, bytes.length) : bytes.length;
    return random.integer(end);
  };
  const kinds: Readonly<Record<string, Mutation>> = {
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
        random.integer(4) > 0
          ? NASTY[random.integer(NASTY.length)]
          : BigInt(random.integer(2 ** 32));
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
    ...splices(random, position, 200),
    "copy over": (bytes) => {
      const from = position(bytes);
      bytes.copyWithin(position(bytes), from, from + 1 + random.integer(200));
      return bytes;
    },
  };
  return { sound, kinds: Object.entries(kinds) };
}

const NASTY_NUMBERS = [0, 1, 2, 3, 31, 32, 33, 64, 65_536, 2 ** 32 - 1, -1, -(2 ** 31)];
const NASTY_FLOATS = [1e-45, 1e-7, 0.5, 2.5, 1e30, -0.5, Number.NaN, Infinity];
const NASTY_TEXTS = ["", "x", "t", "llama", "qwen2", "linear", "llama-bpe", "__proto__", "\ufeff"];
const NASTY_FIELDS: readonly GgufField[] = [
  ...NASTY_NUMBERS,
  ...NASTY_FLOATS.map((value) => ({ type: "f32", value }) as const),
  ...[5e-324, 1e300].map((value) => ({ type: "f64", value }) as const),
  ...[2n ** 53n, 2n ** 64n - 1n].map((value) => ({ type: "u64", value }) as const),
  ...NASTY_TEXTS,
  ...["{% for m in messages %}", "{{ messages }}", "{% for i in range(9**9) %}{% endfor %}"],
  ...[true, false, [], [[]], ["x"], ["", ""], ["a b", "__proto__ x"], [true], Int32Array.of(-1)],
  ...[Float32Array.of(Number.NaN), Float64Array.of(1e300), BigUint64Array.of(2n ** 63n)],
];

/** A sound GGUF file with one or two values, or tensors, that may fit no model. */
export function unfitGguf(content: GgufContent, random: Random): Uint8Array<ArrayBuffer> {
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)];
  const metadata = { ...content.metadata };
  const tensors = [...content.tensors];
  for (let left = 1 + random.integer(2); left > 0; left--) {
    const at = random.integer(tensors.length);
    const key = pick(Object.keys(metadata));
    const texts = textsOf(metadata[key]);
    const change = random.integer(texts.length > 0 ? 20 : 8);
    if (change === 0) delete metadata[key];
    else if (change === 1) tensors[at] = { ...tensors[at], shape: tensors[at].shape.toReversed() };
    else if (change === 2) tensors[at] = { ...tensors[at], name: pick(tensors).name };
    else if (change < 8) metadata[key] = pick(NASTY_FIELDS);
    else metadata[key] = texts.with(random.integer(texts.length), pick([...NASTY_TEXTS, ...texts]));
  }
  return buildGguf({ ...content, metadata, tensors });
}

/** The elements of an array of texts; none for any other value. */
function textsOf(value: GgufField | undefined): readonly string[] {
  const isTexts = Array.isArray(value) && value.every((text) => typeof text === "string");
  return isTexts ? value : [];
}
