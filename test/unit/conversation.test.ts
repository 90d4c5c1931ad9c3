import { beforeEach, describe, expect, test } from "vitest";
import type { KvCache, RestorePoint } from "../../src/cache/kv-cache.ts";
import { Conversation, type Reuse } from "../../src/engine/conversation.ts";

/** A cache that only counts; where it `evicts`, nothing can be cut back. */
class CountingCache {
  tokens = 0;
  hostBytes = 0;
  readonly log: string[] = [];
  readonly points = new Set<RestorePoint>();
  readonly #evicts: boolean;
  failing = false;

  constructor(evicts: boolean) {
    this.#evicts = evicts;
  }

  cutPoint(tokens: number, promptTokens: number): number {
    const point = Math.min(tokens, promptTokens - 1);
    return this.#evicts && point < this.tokens ? 0 : point;
  }

  async cut(tokens: number): Promise<void> {
    this.log.push(`cut ${tokens}`);
    this.tokens = tokens;
  }

  async restorePoint(): Promise<RestorePoint> {
    const release = (): void => void this.points.delete(point);
    const point = { tokens: this.tokens, hostBytes: this.#evicts ? 1 : 0, release };
    this.points.add(point);
    return point;
  }

  async restore(point: RestorePoint | undefined): Promise<void> {
    if (this.failing) throw new Error("no memory");
    if (point !== undefined && !this.points.has(point)) throw new Error("a released point");
    this.log.push(`restore ${point?.tokens ?? 0}`);
    this.tokens = point?.tokens ?? 0;
  }

  clear(): void {
    this.tokens = 0;
  }
}

/** Token ids are the characters of a text; "<" and ">" are control tokens, "AB" is also one token. */
const AB = 0x100;
const encode = (text: string): Uint32Array<ArrayBuffer> =>
  Uint32Array.from([...text].map((char) => (char === "&" ? AB : char.charCodeAt(0))));
const decode = (ids: Iterable<number>): string =>
  [...ids].map((id) => (id === AB ? "&" : String.fromCharCode(id))).join("");
const TOKENIZER = {
  isControl: (id: number) => "<>".includes(String.fromCharCode(id)),
  tokenBytes: (id: number) =>
    id === AB ? Uint8Array.of(0x41, 0x42) : new TextEncoder().encode(String.fromCharCode(id)),
};

let cache: CountingCache;
let conversation: Conversation;

function start(evicts: boolean): void {
  cache = new CountingCache(evicts);
  conversation = new Conversation(cache as unknown as KvCache, TOKENIZER);
}

/** What a prompt would find: "what is there|what is not". */
function found(prompt: string): string {
  const { tokenIds, tokens } = conversation.find(encode(prompt));
  return `${decode(tokenIds.subarray(0, tokens))}|${decode(tokenIds.subarray(tokens))}`;
}

/** A call that is answered; the answer's last token has no row unless `stopped`. */
async function call(prompt: string, answer: string, stopped = true): Promise<Reuse> {
  const reuse = conversation.find(encode(prompt));
  await conversation.begin(reuse);
  expect(cache.tokens).toBe(reuse.tokens);
  cache.tokens = reuse.tokenIds.length;
  await conversation.prompted(reuse.tokenIds);
  const ids = [...encode(answer)];
  const rows = ids.length - (stopped ? 0 : 1);
  cache.tokens += rows;
  conversation.answered(ids, rows);
  return reuse;
}

/** A call that fails, with its prompt read or not. */
async function fail(prompt: string, read: boolean): Promise<void> {
  const reuse = conversation.find(encode(prompt));
  await conversation.begin(reuse);
  cache.tokens = reuse.tokenIds.length;
  if (read) await conversation.prompted(reuse.tokenIds);
  cache.tokens += 3;
  await conversation.rollBack();
}

describe.each([true, false])("where rows are evicted: %s", (evicts) => {
  beforeEach(() => start(evicts));

  test("the next message goes on from all that was seen", async () => {
    await call("<u>hi<a>", "hello");
    expect(found("<u>hi<a>hello<u>more<a>")).toBe("<u>hi<a>hello|<u>more<a>");
    await call("<u>hi<a>hello<u>more<a>", "yes");
    expect(found("<u>hi<a>hello<u>more<a>yes<u>!<a>")).toBe("<u>hi<a>hello<u>more<a>yes|<u>!<a>");
    expect(cache.log).toEqual(["restore 0"]);
  });

  test("another answer finds the whole prompt, again and again", async () => {
    await call("<u>hi<a>", "hello");
    await call("<u>hi<a>hello<u>more<a>", "yes");
    for (const answer of ["no", "perhaps", "never"]) {
      const { tokens, tokenIds } = await call("<u>hi<a>hello<u>more<a>", answer);
      expect(tokens).toBe(tokenIds.length);
    }
    expect(found("<u>hi<a>hello<u>other<a>")).toBe("<u>hi<a>hello|<u>other<a>");
    expect(found("<u>ho<a>")).toBe("|<u>ho<a>");
  });

  test("an earlier prompt is not taken for the last one, whose logits are there", async () => {
    await call("<u>hi<a>", "hello");
    await call("<u>hi<a>hello<u>more<a>", "yes");
    const { tokens, tokenIds } = conversation.find(encode("<u>hi<a>"));
    expect(tokens).toBeLessThan(tokenIds.length);
  });

  test("a changed message finds what came before the message", async () => {
    await call("<u>hi<a>", "hello");
    await call("<u>hi<a>hello<u>more<a>", "yes");
    expect(found("<u>hi<a>hello<u>most<a>")).toBe("<u>hi<a>hello|<u>most<a>");
    await call("<u>hi<a>hello<u>most<a>", "never");
    expect(found("<u>hi<a>hello<u>more<a>")).toBe("<u>hi<a>hello|<u>more<a>");
  });

  test("an answer that is spelled otherwise is recognised by its bytes", async () => {
    await call("<u>hi<a>", "xABy");
    expect(found("<u>hi<a>x&y<u>more<a>")).toBe("<u>hi<a>xABy|<u>more<a>");
    start(evicts);
    await call("<u>hi<a>", "x&y", false);
    expect(found("<u>hi<a>xABy<u>more<a>")).toBe("<u>hi<a>x&|y<u>more<a>");
    expect(found("<u>hi<a>xAC<u>more<a>")).toMatch(/^<u>hi<a>x?\|/);
    expect(found("<u>hi<a>xA<u>more<a>")).toMatch(/^<u>hi<a>x?\|/);
  });

  test("answers of all turns may be spelled otherwise, also before a change", async () => {
    await call("<u>hi<a>", "xABy");
    await call("<u>hi<a>x&y<u>more<a>", "AB.", false);
    expect(found("<u>hi<a>x&y<u>more<a>&.<u>!<a>")).toBe("<u>hi<a>xABy<u>more<a>AB|.<u>!<a>");
    expect(found("<u>hi<a>x&y<u>most<a>")).toBe("<u>hi<a>xABy|<u>most<a>");
    expect(found("<u>hi<a>x&y<u>more<a>")).toBe("<u>hi<a>xABy<u>more<a>|");
  });

  test("an answer's last token that was not read is read with what comes next", async () => {
    await call("<u>hi<a>", "hello", false);
    expect(found("<u>hi<a>hello<u>more<a>")).toBe("<u>hi<a>hell|o<u>more<a>");
  });

  test("control tokens are no text", async () => {
    await call("<u>hi<a>", "A<B");
    expect(found("<u>hi<a>&<u>more<a>")).toMatch(/^<u>hi<a>\|/);
  });

  test.each([false, true])("a call that fails changes nothing (prompt read: %s)", async (read) => {
    await call("<u>hi<a>", "hello");
    await call("<u>hi<a>hello<u>more<a>", "yes");
    const { size } = cache.points;
    for (const prompt of [
      "<u>hi<a>hello<u>more<a>yes<u>!<a>",
      "<u>new<a>",
      "<u>hi<a>hello<u>x<a>",
    ]) {
      await fail(prompt, read);
      expect(cache.tokens).toBe("<u>hi<a>hello<u>more<a>yes".length);
      expect(cache.points.size).toBe(size);
      expect(found("<u>hi<a>hello<u>more<a>")).toBe("<u>hi<a>hello<u>more<a>|");
      expect(found("<u>hi<a>hello<u>less<a>")).toBe("<u>hi<a>hello|<u>less<a>");
    }
    expect(found("<u>hi<a>hello<u>more<a>yes<u>!<a>")).toMatch(/yes\|/);
  });

  test("a first call that fails leaves nothing", async () => {
    await fail("<u>hi<a>", true);
    expect(cache.tokens).toBe(0);
    expect(cache.points.size).toBe(0);
    expect(found("<u>hi<a>")).toBe("|<u>hi<a>");
  });

  test("what can't be restored is forgotten", async () => {
    await call("<u>hi<a>", "hello");
    await conversation.begin(conversation.find(encode("<u>hi<a>hello<u>more<a>")));
    cache.failing = true;
    await conversation.rollBack();
    expect(cache.points.size).toBe(0);
    expect(found("<u>hi<a>hello<u>more<a>")).toBe("|<u>hi<a>hello<u>more<a>");
  });

  test("a prompt that is shorter than what was seen is read", async () => {
    await call("<u>hi<a>", "hello");
    for (const prompt of ["<u>hi<a>hel", "<u>hi<a>hello", "<u>hi"]) {
      const { tokens } = conversation.find(encode(prompt));
      expect(tokens).toBeLessThan(prompt.length);
    }
  });
});

test("rows of two turns are held where they are evicted, points without rows as long as they help", async () => {
  for (const evicts of [true, false]) {
    start(evicts);
    let history = "";
    for (const turn of "12345") {
      await call(`${history}<u>${turn}<a>`, "ok");
      history += `<u>${turn}<a>ok`;
    }
    expect(cache.points.size).toBe(evicts ? 4 : 9);
    expect(found("<u>1<a>ok<u>X<a>")).toBe(evicts ? "|<u>1<a>ok<u>X<a>" : "<u>1<a>ok|<u>X<a>");
    expect(found(`${history.slice(0, -"<u>5<a>ok".length)}<u>X<a>`)).toMatch(/4<a>ok\|/);
    conversation.forget();
    expect(cache.points.size).toBe(0);
  }
});

test("an answer that was changed keeps its rows up to the change, where nothing is evicted", async () => {
  start(false);
  await call("<u>hi<a>", "hello");
  expect(found("<u>hi<a>help<u>more<a>")).toBe("<u>hi<a>hel|p<u>more<a>");
  await call("<u>hi<a>help<u>more<a>", "yes");
  expect(cache.log).toEqual(["restore 0", `cut ${"<u>hi<a>hel".length}`]);
  expect(found("<u>hi<a>hello<u>more<a>")).toBe("<u>hi<a>hel|lo<u>more<a>");
});
