import type { Random } from "../random.ts";

/** Damages bytes, in place or into new ones. */
export type Mutation = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

/** What the grammar of JSON and its numbers are sensitive to. */
export const JSON_TOKENS: readonly string[] = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "0",
  "-1",
  "9e99",
];

/** Where and with what to damage. */
export interface MutationTargets {
  /** Nine of ten damages fall before this byte; by default anywhere. */
  readonly end?: number;
  /** Texts to put in places: what the format's grammar and limits are sensitive to. */
  readonly tokens: readonly string[];
}

/** Take a piece out, or put a copy of one of at most `longest` bytes in, at a place that `position` picks. */
export function splices(
  random: Random,
  position: (bytes: Uint8Array) => number,
  longest: number,
): Readonly<Record<string, Mutation>> {
  return {
    "splice out": (bytes) => {
      const from = position(bytes);
      return joined(bytes.subarray(0, from), bytes.subarray(from + 1 + random.integer(64)));
    },
    "splice in": (bytes) => {
      const from = position(bytes);
      const to = position(bytes);
      const piece = bytes.slice(from, from + 1 + random.integer(longest));
      return joined(bytes.subarray(0, to), piece, bytes.subarray(to));
    },
  };
}

/** Ways to damage a text file, each by name. */
export function mutationsOf(
  random: Random,
  { end = Infinity, tokens }: MutationTargets,
): readonly (readonly [name: string, mutation: Mutation])[] {
  const position = (bytes: Uint8Array): number => {
    const most = random.integer(10) > 0 ? Math.min(end, bytes.length) : bytes.length;
    return random.integer(Math.max(most, 1));
  };
  const token = (): Uint8Array => Buffer.from(tokens[random.integer(tokens.length)]);
  const mutations: Readonly<Record<string, Mutation>> = {
    "bit flips": (bytes) => {
      const flips = 1 + random.integer(3);
      for (let i = 0; i < flips; i++) bytes[position(bytes)] ^= 1 << random.integer(8);
      return bytes;
    },
    truncation: (bytes) => bytes.slice(0, position(bytes)),
    "random bytes": (bytes) => {
      const from = position(bytes);
      const to = Math.min(bytes.length, from + 1 + random.integer(8));
      for (let i = from; i < to; i++) bytes[i] = random.integer(256);
      return bytes;
    },
    digits: (bytes) => {
      for (let tries = 0; tries < 100; tries++) {
        const at = position(bytes);
        if (bytes[at] < 48 || bytes[at] > 57) continue;
        bytes[at] = 48 + random.integer(10);
        break;
      }
      return bytes;
    },
    "token over": (bytes) => {
      const put = token();
      const at = position(bytes);
      bytes.set(put.subarray(0, bytes.length - at), at);
      return bytes;
    },
    "token in": (bytes) => {
      const at = position(bytes);
      return joined(bytes.subarray(0, at), token(), bytes.subarray(at));
    },
    ...splices(random, position, 120),
    "letters swapped": (bytes) => {
      const [a, b] = [position(bytes), position(bytes)];
      [bytes[a], bytes[b]] = [bytes[b], bytes[a]];
      return bytes;
    },
  };
  return Object.entries(mutations);
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat(parts));
}
