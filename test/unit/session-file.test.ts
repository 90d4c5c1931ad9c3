import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { type CacheImage, layerImageBytes } from "../../src/cache/cache-image.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import type { CachePlan } from "../../src/cache/scheduler.ts";
import {
  readSession,
  type SavedSession,
  SESSION_VERSION,
  writeSession,
} from "../../src/engine/session-file.ts";
import type { SessionOwner } from "../../src/engine/session-header.ts";
import { SessionFormatError } from "../../src/errors.ts";
import { seededRandom } from "../random.ts";
import { JSON_TOKENS, mutationsOf } from "./mutations.ts";

const MUTANTS = 2500;
const SEED = 20_266;
/** Generous for a machine that does other work; a typical mutant takes well under a millisecond. */
const MAX_MS_EACH = 2000;
const PRELUDE_BYTES = 48;

const cache = resolveCacheOptions({ policy: "ada-kv", budget: 12, windowSize: 4 }, 2);
const owner: SessionOwner = {
  shape: { numLayers: 2, numHeads: 4, numKvHeads: 2, headDim: 32, dtype: "f16" },
  vocabSize: 50,
  contextLength: 300,
  fingerprints: { weights: "0123456789abcdef", vocabulary: "fedcba9876543210" },
  cache,
  windowSize: 4,
  hasPositions: true,
  hasQueries: true,
};

const plan: CachePlan = {
  budgets: [12, 12],
  rows: [12, 12],
  capacities: [76, 76],
  spareRows: 64,
  evicts: true,
  scratch: { stagedKeys: 1, stats: 2, scores: 3, pooled: 4, heads: 5, kept: 6 },
  bytes: { final: 7, peak: 8, full: 9 },
};

/** Forty tokens seen, of which the heads keep 9 to 15, all from token 35 on. */
function sampleSession(): SavedSession {
  const random = seededRandom(SEED);
  const heads = [15, 9, 11, 13].map((length) => [length, length + 60] as const);
  const layers = [0, 1].map((layer) => {
    const own = heads.slice(2 * layer, 2 * layer + 2);
    const bytes = new Uint8Array(layerImageBytes(owner.shape, true, own));
    const rows = own[0][0] + own[1][0];
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(256);
    const positions = own.flatMap(([length]) =>
      Array.from({ length }, (_, i) => (i < length - 5 ? 2 * i : 40 - length + i)),
    );
    bytes.set(new Uint8Array(Uint32Array.from(positions).buffer), bytes.length - 4 * rows);
    return bytes;
  });
  const image: CacheImage = {
    state: {
      tokens: 40,
      mostTokens: 41,
      promptTokens: 36,
      plan,
      mass: [0.5, 0.25, 1, 0.125],
      wholeFrom: 35,
      queriesEnd: Infinity,
    },
    heads,
    queries: async () => new Uint8Array(2 * 4 * 4 * 32 * 4).fill(3),
    layer: async (layer) => layers[layer],
  };
  return {
    seen: Uint32Array.from({ length: 40 }, () => random.integer(50)),
    unread: [7],
    logits: new Uint8Array(52 * 4).fill(9),
    image,
    note: "a note, with ☀",
  };
}

let file: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  file = new Uint8Array(await (await writeSession(owner, sampleSession())).arrayBuffer());
});

/** Everything of a session as plain data. */
async function plain(session: SavedSession): Promise<object> {
  const { image, ...rest } = session;
  const layers = await Promise.all([0, 1].map((layer) => image.layer(layer)));
  return {
    ...rest,
    state: image.state,
    heads: image.heads,
    queries: await image.queries(),
    layers,
  };
}

const open = (bytes: Uint8Array<ArrayBuffer>, by: SessionOwner = owner): Promise<SavedSession> =>
  readSession(by, new Blob([bytes]));

test("a session comes back as it was written", async () => {
  expect(await plain(await open(file))).toEqual(await plain(sampleSession()));
});

/** A session with other values, that is sealed like a sound one. */
async function forged(change: (session: SavedSession) => SavedSession): Promise<Blob> {
  return writeSession(owner, change(sampleSession()));
}

const inImage =
  (image: Partial<CacheImage>) =>
  (session: SavedSession): SavedSession => ({
    ...session,
    image: { ...session.image, ...image },
  });
const inState =
  (state: object) =>
  (session: SavedSession): SavedSession =>
    inImage({ state: { ...session.image.state, ...state } })(session);

/** The first layer with one of its positions changed. */
const atPosition =
  (index: number, position: number) =>
  (session: SavedSession): SavedSession =>
    inImage({
      layer: async (layer) => {
        const bytes = (await session.image.layer(layer)).slice();
        if (layer === 0) new DataView(bytes.buffer).setUint32(24 * 128 + 4 * index, position, true);
        return bytes;
      },
    })(session);

describe("refused, though no byte is damaged:", () => {
  test.each<[string, (session: SavedSession) => SavedSession, RegExp]>([
    ["more tokens than the context", inState({ mostTokens: 301 }), /state.mostTokens/],
    ["no tokens", inState({ tokens: 0 }), /state.tokens/],
    ["rows that are not there", inState({ wholeFrom: 20 }), /rows of a head/],
    ["queries of the future", inState({ queriesEnd: 42 }), /queriesEnd/],
    ["a plan of another model", inState({ plan: { ...plan, rows: [1] } }), /plan.rows/],
    ["mass that is no number", inState({ mass: [Number.NaN] }), /state.mass/],
    [
      "a huge room",
      inImage({
        heads: [
          [15, 2 ** 31],
          [9, 9],
          [11, 11],
          [13, 13],
        ],
      }),
      /room of a head/,
    ],
    ["fewer heads", inImage({ heads: [[15, 15]] }), /heads should be a list of 4/],
    [
      "a token beyond the vocabulary",
      (s) => ({ ...s, seen: s.seen.with(3, 50) as typeof s.seen }),
      /token ids/,
    ],
    ["an unread one beyond it", (s) => ({ ...s, unread: [50] }), /unread/],
    ["a position beyond the text", atPosition(14, 40), /positions of layer 0, head 0/],
    ["positions that go down", atPosition(3, 2), /positions of layer 0, head 0/],
    ["a hole in what is whole", atPosition(10, 34), /positions of layer 0, head 0/],
  ])("%s", async (_name, change, message) => {
    await expect(readSession(owner, await forged(change))).rejects.toThrow(message);
  });

  test.each<[string, Partial<SessionOwner>, RegExp]>([
    [
      "of other weights",
      { fingerprints: { ...owner.fingerprints, weights: "1" } },
      /model.weights/,
    ],
    [
      "of another vocabulary",
      { fingerprints: { ...owner.fingerprints, vocabulary: "1" } },
      /model.vocabulary/,
    ],
    ["of another shape", { shape: { ...owner.shape, headDim: 64 } }, /model.headDim/],
    ["of another dtype", { cache: { ...cache, kvDtype: "f32" } }, /cache.kvDtype/],
    [
      "of another budget",
      { cache: { ...cache, budget: { unit: "tokens", tokens: 13 } } },
      /cache.budget/,
    ],
  ])("%s", async (_name, other, message) => {
    await expect(open(file, { ...owner, ...other })).rejects.toThrow(message);
  });

  test("of a later version", async () => {
    const bytes = file.slice();
    bytes[8] = SESSION_VERSION + 1;
    await expect(open(bytes)).rejects.toThrow(/its version should be 1, got 2/);
  });
});

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

/** The file with another header in it, whose length and hash are right. */
function sealed(header: Uint8Array, rest: Uint8Array): Uint8Array<ArrayBuffer> {
  const prelude = Buffer.from(file.subarray(0, PRELUDE_BYTES));
  prelude.writeUInt32LE(header.length, 12);
  prelude.set(sha256(header), 16);
  return Uint8Array.from(Buffer.concat([prelude, header, rest]));
}

describe("under mutation", () => {
  const headerBytes = (): number => new DataView(file.buffer).getUint32(12, true);
  const tokens = [...JSON_TOKENS, "1e-9", "null", "true", "__proto__"];

  /** Ends each mutant in a typed error, or a session that holds together; counts which. */
  async function fuzz(
    make: (i: number) => Uint8Array<ArrayBuffer>,
  ): Promise<{ readonly refused: number; readonly sound: number }> {
    let [refused, sound, slowest] = [0, 0, 0];
    for (let i = 0; i < MUTANTS; i++) {
      const bytes = make(i);
      const start = performance.now();
      const outcome = await open(bytes).catch((error: unknown) => error);
      slowest = Math.max(slowest, performance.now() - start);
      if (outcome instanceof SessionFormatError) {
        refused++;
        continue;
      }
      if (outcome instanceof Error)
        throw new Error(`mutant ${i} of seed ${SEED}`, { cause: outcome });
      expectSound(await plain(outcome as SavedSession));
      sound++;
    }
    expect(slowest).toBeLessThan(MAX_MS_EACH);
    return { refused, sound };
  }

  function expectSound(session: object): void {
    const { seen, heads, state, layers } = session as unknown as Omit<SavedSession, "image"> &
      Pick<CacheImage, "heads" | "state"> & { layers: Uint8Array<ArrayBuffer>[] };
    expect(seen.length).toBe(state.tokens);
    expect(Math.max(...seen)).toBeLessThan(owner.vocabSize);
    for (const [layer, bytes] of layers.entries()) {
      const own = heads.slice(2 * layer, 2 * layer + 2);
      expect(bytes.length).toBe(layerImageBytes(owner.shape, true, own));
      for (const [length, capacity] of own) {
        expect(capacity).toBeGreaterThanOrEqual(length);
        expect(capacity).toBeLessThanOrEqual(owner.contextLength + 64);
      }
    }
  }

  test(`the whole file: ${MUTANTS} mutants`, { timeout: 120_000 }, async () => {
    const mutations = mutationsOf(seededRandom(SEED), { tokens });
    const { refused, sound } = await fuzz((i) => mutations[i % mutations.length][1](file.slice()));
    // What a mutation leaves as it was is sound; any changed byte is found.
    expect(refused).toBeGreaterThan(0.9 * MUTANTS);
    expect(sound).toBeGreaterThan(0);
  });

  test(`a header that is sealed again: ${MUTANTS} mutants`, { timeout: 120_000 }, async () => {
    const mutations = mutationsOf(seededRandom(SEED + 1), { tokens });
    const end = PRELUDE_BYTES + headerBytes();
    const { refused, sound } = await fuzz((i) => {
      const header = mutations[i % mutations.length][1](file.slice(PRELUDE_BYTES, end));
      return sealed(header, file.subarray(end));
    });
    expect(refused).toBeGreaterThan(MUTANTS / 2);
    expect(sound).toBeGreaterThan(MUTANTS / 50); // a digit of the plan or of the mass
  });

  test(`parts that are sealed again: ${MUTANTS} mutants`, { timeout: 120_000 }, async () => {
    const random = seededRandom(SEED + 2);
    const end = PRELUDE_BYTES + headerBytes();
    const header = JSON.parse(Buffer.from(file.subarray(PRELUDE_BYTES, end)).toString()) as {
      hashes: string[];
    };
    const session = sampleSession();
    const { image } = session;
    const parts = [
      new Uint8Array(session.seen.buffer),
      session.logits as Uint8Array,
      await image.queries(),
      await image.layer(0),
      await image.layer(1),
    ].map((part) => Uint8Array.from(part));
    const { refused, sound } = await fuzz(() => {
      const which = random.integer(parts.length);
      const changed = parts.map((part) => part.slice());
      const part = changed[which];
      // Tokens, and positions at the end of a layer: what is checked beyond the hash.
      const from = which < 3 ? 0 : part.length - 96;
      part[from + random.integer(part.length - from)] = random.integer(256);
      const hashes = changed.map((bytes) => sha256(bytes).toString("hex"));
      return sealed(Buffer.from(JSON.stringify({ ...header, hashes })), Buffer.concat(changed));
    });
    expect(refused).toBeGreaterThan(MUTANTS / 4);
    expect(sound).toBeGreaterThan(MUTANTS / 4);
  });
});
