import type { HeadExtent } from "../cache/cache-image.ts";
import { fullCapacity, type KvShape, spareRows } from "../cache/layout.ts";
import type { ResolvedCacheOptions } from "../cache/options.ts";
import type { CacheState } from "../cache/cache-state.ts";
import type { CachePlan } from "../cache/scheduler.ts";
import { SessionFormatError } from "../errors.ts";

/** Whose sessions are written and read: a session fits no other model, and no other kind of cache. */
export interface SessionOwner {
  readonly shape: KvShape;
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Tells models of one shape apart: weights, vocabulary. */
  readonly fingerprints: { readonly weights: string; readonly vocabulary: string };
  readonly cache: ResolvedCacheOptions;
  readonly windowSize: number;
  /** The cache evicts rows, so each has its position. */
  readonly hasPositions: boolean;
  /** The cache ranks rows by the window's queries. */
  readonly hasQueries: boolean;
}

/** What a session's file says before its numbers come. */
export interface SessionHeader {
  readonly state: CacheState;
  readonly heads: readonly HeadExtent[];
  readonly unread: readonly number[];
  readonly note: string;
  readonly hasLogits: boolean;
  /** SHA-256 of each part, in hexadecimal. */
  readonly hashes: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** Parts before those of the layers. */
const FIRST_PARTS = 3;

/** The header as text. */
export function writeHeader(owner: SessionOwner, header: SessionHeader): string {
  const { state, heads, unread, note, hasLogits, hashes } = header;
  const { tokens, mostTokens, promptTokens, wholeFrom, mass, plan } = state;
  const queriesEnd = Number.isFinite(state.queriesEnd) ? state.queriesEnd : null; // no infinity in JSON
  return JSON.stringify({
    ...identity(owner),
    state: { tokens, mostTokens, promptTokens, wholeFrom, queriesEnd, mass, plan },
    heads,
    unread,
    note,
    hasLogits,
    hashes,
  });
}

/**
 * Read and check a header.
 * @throws SessionFormatError naming the first thing that does not fit
 */
export function readHeader(owner: SessionOwner, text: Uint8Array): SessionHeader {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (cause) {
    throw new SessionFormatError("the header", "JSON", "something else", { cause });
  }
  const header = object("the header", json);
  for (const [name, own] of Object.entries(identity(owner))) {
    const theirs = object(name, header[name]);
    for (const [field, value] of Object.entries(own)) {
      const [expected, got] = [show(value), show(theirs[field])];
      if (expected !== got) throw new SessionFormatError(`${name}.${field}`, expected, got);
    }
  }
  const { numLayers } = owner.shape;
  const { note, hasLogits } = header;
  if (typeof note !== "string") throw wrong("note", "a text", note);
  if (typeof hasLogits !== "boolean") throw wrong("hasLogits", "true or false", hasLogits);
  const state = readState(owner, object("state", header["state"]));
  return {
    state,
    heads: readHeads(owner, state, header["heads"]),
    unread: numbers("unread", header["unread"], undefined, 0, owner.vocabSize - 1),
    note,
    hasLogits,
    hashes: list("hashes", header["hashes"], FIRST_PARTS + numLayers).map((hash) => {
      if (typeof hash !== "string" || hash.length !== 64) throw wrong("hashes", "SHA-256", hash);
      return hash;
    }),
  };
}

function readState(owner: SessionOwner, fields: Json): CacheState {
  const { shape, contextLength } = owner;
  const count = (name: string, least: number, most: number): number =>
    whole(`state.${name}`, fields[name], least, most);
  const mostTokens = count("mostTokens", 1, contextLength);
  const tokens = count("tokens", 1, mostTokens);
  const { queriesEnd, plan, mass } = fields;
  return {
    tokens,
    mostTokens,
    promptTokens: count("promptTokens", 0, contextLength),
    wholeFrom: count("wholeFrom", 0, tokens),
    queriesEnd: queriesEnd === null ? Infinity : count("queriesEnd", 0, mostTokens),
    mass: readMass(mass, shape.numLayers * shape.numKvHeads),
    plan: plan === undefined ? undefined : readPlan(object("state.plan", plan), shape.numLayers),
  };
}

/** What has to be the same where a session is opened. */
function identity({ shape, vocabSize, fingerprints, cache }: SessionOwner): Record<string, Json> {
  const { numLayers, numHeads, numKvHeads, headDim } = shape;
  const sizes = { numLayers, numHeads, numKvHeads, headDim, vocabSize };
  return {
    model: { ...sizes, ...fingerprints },
    cache: { ...cache, policy: cache.policy.name },
  };
}

function readHeads(owner: SessionOwner, state: CacheState, value: unknown): HeadExtent[] {
  const { shape, hasPositions, contextLength, windowSize } = owner;
  const { tokens, mostTokens, wholeFrom } = state;
  const most = hasPositions ? mostTokens + spareRows(windowSize) : fullCapacity(contextLength);
  const least = hasPositions ? tokens - wholeFrom : tokens;
  const heads = list("heads", value, shape.numLayers * shape.numKvHeads).map((pair): HeadExtent => {
    const [rows, room] = list("heads", pair, 2);
    const length = whole("rows of a head", rows, least, tokens);
    return [length, whole("room of a head", room, Math.max(length, 1), most)];
  });
  const [, first] = heads[0] as HeadExtent;
  if (!hasPositions && heads.some(([, room]) => room !== first || room !== fullCapacity(room))) {
    throw wrong("heads", "with the same room for each", value);
  }
  return heads;
}

/** Attention mass, which only reports show. */
function readMass(value: unknown, most: number): number[] {
  if (!Array.isArray(value) || value.length > most) throw wrong("state.mass", "a list", value);
  const mass = value as unknown[];
  return mass.map((share) => {
    if (typeof share === "number" && Number.isFinite(share)) return share;
    throw wrong("state.mass", "numbers", share);
  });
}

function readPlan(fields: Json, numLayers: number): CachePlan {
  const rows = (name: string): number[] => numbers(`plan.${name}`, fields[name], numLayers);
  const { evicts } = fields;
  if (typeof evicts !== "boolean") throw wrong("plan.evicts", "true or false", evicts);
  const sizes = (name: string, fieldNames: readonly string[]): Record<string, number> => {
    const given = object(`plan.${name}`, fields[name]);
    return Object.fromEntries(
      fieldNames.map((field) => [field, whole(`plan.${name}.${field}`, given[field])]),
    );
  };
  const scratch = ["stagedKeys", "stats", "scores", "pooled", "heads", "kept"];
  return {
    budgets: rows("budgets"),
    rows: rows("rows"),
    capacities: rows("capacities"),
    spareRows: whole("plan.spareRows", fields["spareRows"]),
    evicts,
    scratch: sizes("scratch", scratch) as unknown as CachePlan["scratch"],
    bytes: sizes("bytes", ["final", "peak", "full"]) as unknown as CachePlan["bytes"],
  };
}

function object(field: string, value: unknown): Json {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) throw wrong(field, "an object", value);
  return value as Json;
}

function list(field: string, value: unknown, length?: number): readonly unknown[] {
  const fits = Array.isArray(value) && (length === undefined || value.length === length);
  if (!fits) throw wrong(field, `a list${length === undefined ? "" : ` of ${length}`}`, value);
  return value as readonly unknown[];
}

function numbers(
  field: string,
  value: unknown,
  length?: number,
  least?: number,
  most?: number,
): number[] {
  return list(field, value, length).map((number) => whole(field, number, least, most));
}

function whole(
  field: string,
  value: unknown,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const fits =
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
  if (!fits) throw wrong(field, `a whole number from ${least} to ${most}`, value);
  return value as number;
}

function wrong(field: string, expected: string, got: unknown): SessionFormatError {
  return new SessionFormatError(field, expected, show(got));
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
