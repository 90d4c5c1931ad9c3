import type { KvCache, RestorePoint } from "../cache/kv-cache.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Restore points that may hold rows in host memory: those of the last two turns. */
const HEAVY_POINTS = 4;

/** What a prompt finds in the cache. */
export interface Reuse {
  /** The prompt to run: like the given one, but spelled with the tokens that the cache has seen. */
  readonly tokenIds: Uint32Array<ArrayBuffer>;
  /** Leading tokens of it that the cache has seen; where it is all of them, another answer is due. */
  readonly tokens: number;
  /** Where to return to for it; undefined: the present state, or that after dropping rows. */
  readonly point?: RestorePoint | undefined;
}

/** What a call that fails returns to. */
interface Undo {
  readonly point: RestorePoint;
  readonly seen: readonly number[];
  readonly unread: readonly number[];
  readonly turns: readonly RestorePoint[];
  readonly logitsOf: number;
}

/**
 * Which tokens the cache has seen, and the points to which it can return: before each user's message
 * (for an edit) and after each prompt (for another answer). So unchanged history is never read again,
 * and a call that fails leaves the cache as it was.
 */
export class Conversation {
  readonly #cache: KvCache;
  readonly #tokenizer: Pick<Tokenizer, "isControl" | "tokenBytes">;
  /** Tokens of prompts and answers, in order: what the cache has seen. */
  #seen: readonly number[] = [];
  /** What the answer has beyond that: its last token, where no step came after it. */
  #unread: readonly number[] = [];
  /** Restore points, in order, each of more tokens than the one before. */
  #turns: readonly RestorePoint[] = [];
  /** Tokens of the prompt whose last logits are at hand. */
  #logitsOf = 0;
  /** All points that are not released. */
  readonly #points = new Set<RestorePoint>();
  #undo: Undo | undefined;

  constructor(cache: KvCache, tokenizer: Pick<Tokenizer, "isControl" | "tokenBytes">) {
    this.#cache = cache;
    this.#tokenizer = tokenizer;
  }

  /** Tokens that the cache has seen, in order. */
  get seen(): readonly number[] {
    return this.#seen;
  }

  /** Bytes of host memory that restore points hold. */
  get hostBytes(): number {
    return this.#cache.hostBytes;
  }

  /** The logits of a prompt's last token are wanted for another answer to it. */
  get wantsLogits(): boolean {
    return this.#logitsOf > 0;
  }

  /**
   * How the cache can serve a prompt: from the latest point that is a beginning of it. Where an
   * answer was changed, or goes on, its rows stay up to there.
   */
  find(given: Uint32Array<ArrayBuffer>): Reuse {
    const tokenIds = this.#respell(given);
    const total = tokenIds.length;
    const differs = this.#seen.findIndex((id, i) => tokenIds[i] !== id);
    const common = differs < 0 ? this.#seen.length : differs;
    const at = this.#turns.findLastIndex(
      ({ tokens }) => tokens <= common && (tokens < total || tokens === this.#logitsOf),
    );
    const point = this.#turns[at];
    const known = point?.tokens ?? 0;
    const isLatest = at === this.#turns.length - 1;
    const kept = isLatest && known < total ? this.#cache.cutPoint(common, total) : 0;
    return kept > known ? { tokenIds, tokens: kept } : { tokenIds, tokens: known, point };
  }

  /** A call begins: note what to return to if it fails, and bring the cache to where it starts. */
  async begin({ tokenIds, tokens, point }: Reuse): Promise<void> {
    const now = await this.#note();
    this.#undo = {
      point: now,
      seen: this.#seen,
      unread: this.#unread,
      turns: this.#turns,
      logitsOf: this.#logitsOf,
    };
    const isThere = tokens === this.#cache.tokens;
    if (point !== undefined || tokens === 0) await this.#cache.restore(point);
    else if (!isThere) await this.#cache.cut(tokens);
    this.#seen = [...tokenIds.subarray(0, tokens)];
    this.#unread = [];
    this.#turns = this.#turns.filter((other) => other.tokens <= tokens);
    if (this.#isNew(tokens)) this.#turns = [...this.#turns, isThere ? now : await this.#note()];
  }

  /** The prompt is in the cache, and the logits of its last token are at hand. */
  async prompted(tokenIds: Uint32Array<ArrayBuffer>): Promise<void> {
    this.#seen = [...tokenIds];
    this.#logitsOf = tokenIds.length;
    if (this.#isNew(tokenIds.length)) this.#turns = [...this.#turns, await this.#note()];
  }

  /** The answer is there; the cache has seen the first `rows` of its tokens. */
  answered(tokenIds: readonly number[], rows: number): void {
    this.#seen = [...this.#seen, ...tokenIds.slice(0, rows)];
    this.#unread = tokenIds.slice(rows);
    this.#undo = undefined;
    const latest = this.#turns.length - HEAVY_POINTS;
    this.#turns = this.#turns.filter(({ hostBytes }, i) => hostBytes === 0 || i >= latest);
    this.#releaseUnused();
  }

  /**
   * The call failed: everything is as it was when it began, or forgotten if that fails too. The
   * logits are the caller's to put back.
   */
  async rollBack(): Promise<void> {
    const undo = this.#undo;
    if (undo === undefined) return;
    this.#undo = undefined;
    this.#turns = undo.turns;
    this.#releaseUnused(undo.point);
    try {
      await this.#cache.restore(undo.point);
    } catch {
      return this.forget(); // what made the call fail is what the caller hears of
    }
    // Policy `full` keeps no more than so many of the rows that it had to drop.
    const { tokens } = this.#cache;
    this.#seen = undo.seen.slice(0, tokens);
    this.#unread = tokens === undo.seen.length ? undo.unread : [];
    this.#turns = undo.turns.filter((point) => point.tokens <= tokens);
    this.#logitsOf = undo.logitsOf;
    this.#releaseUnused();
  }

  /** Tokens of the answer that the cache has not seen: its last one, where no step came after it. */
  get unread(): readonly number[] {
    return this.#unread;
  }

  /** The logits of the last token seen are at hand. */
  get endsWithLogits(): boolean {
    return this.#logitsOf > 0 && this.#logitsOf === this.#seen.length;
  }

  /** The cache was filled with these tokens, and the prompt's logits are there if `hasLogits`. */
  async adopt(
    seen: readonly number[],
    unread: readonly number[],
    hasLogits: boolean,
  ): Promise<void> {
    this.#seen = seen;
    this.#unread = unread;
    this.#logitsOf = hasLogits ? seen.length : 0;
    this.#turns = hasLogits ? [await this.#note()] : [];
  }

  /** Start anew, with an empty cache. */
  forget(): void {
    this.#undo = undefined;
    this.#seen = [];
    this.#unread = [];
    this.#turns = [];
    this.#logitsOf = 0;
    this.#releaseUnused();
    this.#cache.clear();
  }

  async #note(): Promise<RestorePoint> {
    const point = await this.#cache.restorePoint();
    this.#points.add(point);
    return point;
  }

  /** Whether so many tokens are worth a point of their own. */
  #isNew(tokens: number): boolean {
    return tokens > 0 && this.#turns.at(-1)?.tokens !== tokens;
  }

  #releaseUnused(also?: RestorePoint): void {
    for (const point of this.#points) {
      if (point === also || this.#turns.includes(point)) continue;
      point.release();
      this.#points.delete(point);
    }
  }

  /**
   * A prompt in the tokens that were seen, as far as its text is the same: answers may be spelled
   * with other tokens when their text is encoded again.
   */
  #respell(given: Uint32Array): Uint32Array<ArrayBuffer> {
    const known = [...this.#seen, ...this.#unread];
    let [i, j] = [0, 0];
    while (i < known.length) {
      const next = known[i] === given[j] ? [i + 1, j + 1] : this.#skipText(known, i, given, j);
      if (next === undefined) break;
      [i, j] = next as [number, number];
    }
    return Uint32Array.from([...known.slice(0, i), ...given.subarray(j)]);
  }

  /** The ends of the shortest runs of text tokens from `i` and `j` on that have the same bytes. */
  #skipText(
    known: readonly number[],
    i: number,
    given: Uint32Array,
    j: number,
  ): readonly [number, number] | undefined {
    const [a, b]: [number[], number[]] = [[], []];
    do {
      const isBehind = a.length <= b.length;
      const id = isBehind ? known[i++] : given[j++];
      if (id === undefined || this.#tokenizer.isControl(id)) return undefined;
      (isBehind ? a : b).push(...this.#tokenizer.tokenBytes(id));
    } while (a.length !== b.length);
    return a.every((byte, at) => byte === b[at]) ? [i, j] : undefined;
  }
}
