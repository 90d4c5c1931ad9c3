import type { KvCache, RestorePoint } from "../cache/kv-cache.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Turns whose restore points are kept. */
const TURNS = 2;

/** A turn's moments to return to. */
interface Turn {
  /** Before the user's message: for an edit, an abort, an error. */
  readonly before: RestorePoint;
  /** After the prompt's compression: for another answer to the same prompt. */
  after?: RestorePoint;
}

/** What a prompt finds in the cache. */
export interface Reuse {
  /** Leading tokens of the prompt that the cache has seen. */
  readonly tokens: number;
  /** The prompt to run: `tokenIds` up to there are those of the cache. */
  readonly tokenIds: Uint32Array<ArrayBuffer>;
}

/**
 * Which tokens the cache has seen, and the moments to which it can return: so that unchanged history
 * is never read again, and a call that fails leaves the cache as it was.
 */
export class Conversation {
  readonly #cache: KvCache;
  readonly #tokenizer: Tokenizer;
  /** Tokens of prompts and answers, in order: what the cache has seen. */
  #seen: number[] = [];
  #turns: Turn[] = [];

  constructor(cache: KvCache, tokenizer: Tokenizer) {
    this.#cache = cache;
    this.#tokenizer = tokenizer;
  }

  /** Bytes of host memory that restore points hold. */
  get hostBytes(): number {
    const points = this.#turns.flatMap(({ before, after }) => (after ? [before, after] : [before]));
    return points.reduce((sum, { hostBytes }) => sum + hostBytes, 0);
  }

  /**
   * Bring the cache to the longest state that is a beginning of the prompt. The whole prompt may be
   * there already (`tokens` = its length): another answer is wanted.
   */
  async match(tokenIds: Uint32Array<ArrayBuffer>): Promise<Reuse> {
    const seen = this.#seen;
    if (seen.length > 0) {
      const rest = this.#afterSeen(tokenIds);
      if (rest !== undefined && rest.length > 0) {
        return { tokens: seen.length, tokenIds: Uint32Array.from([...seen, ...rest]) };
      }
    }
    for (const { point, turn } of this.#points()) {
      if (point.tokens === 0 || point.tokens > tokenIds.length) continue;
      if (!startsWith(tokenIds, seen.slice(0, point.tokens))) continue;
      await this.#cache.restore(point);
      this.#seen = seen.slice(0, point.tokens);
      this.#dropTurnsAfter(turn, point);
      return { tokens: point.tokens, tokenIds };
    }
    this.forget();
    return { tokens: 0, tokenIds };
  }

  /** A call begins: note what to return to if it fails. */
  async begin(): Promise<void> {
    this.#turns.push({ before: await this.#cache.restorePoint() });
    for (const turn of this.#turns.splice(0, this.#turns.length - TURNS)) release(turn);
  }

  /** The prompt is in the cache. */
  async prompted(tokenIds: Iterable<number>): Promise<void> {
    this.#seen = [...tokenIds];
    const turn = this.#turns.at(-1);
    if (turn !== undefined) turn.after = await this.#cache.restorePoint();
  }

  /** The answer is there; the cache has seen the first `rows` of its tokens. */
  answered(tokenIds: readonly number[], rows: number): void {
    this.#seen.push(...tokenIds.slice(0, rows));
  }

  /** The call failed: everything is as it was when it began. */
  async rollBack(): Promise<void> {
    const turn = this.#turns.pop();
    if (turn === undefined) return;
    await this.#cache.restore(turn.before);
    this.#seen = this.#seen.slice(0, turn.before.tokens);
    release(turn);
  }

  /** Start anew, with an empty cache. */
  forget(): void {
    for (const turn of this.#turns) release(turn);
    this.#turns = [];
    this.#seen = [];
    this.#cache.clear();
  }

  /**
   * The prompt's tokens after those that the cache has seen, or undefined where the prompt goes
   * another way. An answer may be spelled with other tokens when its text is encoded again, so where
   * ids differ the bytes decide, up to the next control token.
   */
  #afterSeen(tokenIds: Uint32Array): Uint32Array | undefined {
    const seen = this.#seen;
    let common = 0;
    while (common < seen.length && tokenIds[common] === seen[common]) common++;
    if (common === seen.length) return tokenIds.subarray(common);
    const answer = this.#bytes(seen.slice(common));
    let [bytes, end] = [0, common];
    while (end < tokenIds.length && bytes < answer.length) {
      const id = tokenIds[end] as number;
      if (this.#tokenizer.isControl(id)) return undefined;
      bytes += this.#tokenizer.tokenBytes(id).length;
      end++;
    }
    const next = tokenIds[end];
    const ends = next !== undefined && this.#tokenizer.isControl(next);
    const same = equal(this.#bytes(tokenIds.subarray(common, end)), answer);
    const onlyText = !seen.slice(common).some((id) => this.#tokenizer.isControl(id));
    return ends && same && onlyText ? tokenIds.subarray(end) : undefined;
  }

  #bytes(ids: Iterable<number>): number[] {
    return [...ids].flatMap((id) => [...this.#tokenizer.tokenBytes(id)]);
  }

  /** All moments, the latest first. */
  #points(): { point: RestorePoint; turn: Turn }[] {
    return this.#turns
      .toReversed()
      .flatMap((turn) => [turn.after, turn.before].map((point) => ({ point, turn })))
      .filter((entry): entry is { point: RestorePoint; turn: Turn } => entry.point !== undefined);
  }

  #dropTurnsAfter(turn: Turn, point: RestorePoint): void {
    const from = this.#turns.indexOf(turn) + (point === turn.before ? 0 : 1);
    for (const dropped of this.#turns.splice(from)) if (dropped !== turn) release(dropped);
  }
}

function release({ before, after }: Turn): void {
  before.release();
  after?.release();
}

function startsWith(ids: Uint32Array, start: readonly number[]): boolean {
  return start.every((id, i) => ids[i] === id);
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
