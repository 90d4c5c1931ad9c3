import { beforeAll, describe, expect, test } from "vitest";
import type { Engine, MemoryReport } from "../../src/index.ts";
import { digits, openTiny } from "./tiny-models.ts";

/** Three chunks of prefill. */
const LONG_PROMPT = digits(700);
const REASON = new Error("the user lost interest");

let engine: Engine;
/** What a fresh engine answers to "Hello". */
let greeting: readonly number[];
/** Bytes of everything but the cache while nothing runs. */
let idle: Pick<MemoryReport, "activations" | "staging" | "uniforms" | "weights">;

const idleBytes = (): typeof idle => {
  const { activations, staging, uniforms, weights } = engine.memory();
  return { activations, staging, uniforms, weights };
};

beforeAll(async () => {
  engine = await openTiny("tiny-flow");
  idle = idleBytes();
  greeting = (await engine.generate("Hello", { maxTokens: 20 }).result).tokenIds;
});

/** Nothing is left over, and the engine answers as a fresh one. */
async function expectUsable(): Promise<void> {
  expect(idleBytes()).toEqual(idle);
  const { tokenIds } = await engine.generate("Hello", { maxTokens: 20 }).result;
  expect(tokenIds).toEqual(greeting);
  expect(idleBytes()).toEqual(idle);
}

describe("an answer is aborted", () => {
  test("before it begins", async () => {
    const signal = AbortSignal.abort(REASON);
    const before = engine.memory();
    let progress = 0;
    const onPrefill = (): void => void progress++;
    const { result } = engine.generate(LONG_PROMPT, { signal, onPrefill });
    await expect(result).rejects.toBe(REASON);
    expect(progress).toBe(0);
    expect(engine.memory()).toEqual(before);
    await expectUsable();
  });

  test.each([1, 2, 5, 12])("during the prefill, at step %i of 12", async (step) => {
    const stop = new AbortController();
    const { layers } = engine.memory().kv;
    let steps = 0;
    const onPrefill = (): void => {
      if (++steps === step) stop.abort(REASON);
    };
    const generation = engine.generate(LONG_PROMPT, { signal: stop.signal, onPrefill });
    await expect(generation.result).rejects.toBe(REASON);
    expect(steps).toBe(step);
    expect(engine.memory().kv.layers).toEqual(layers);
    await expectUsable();
  });

  test.each([1, 2, 12])("while it streams, after piece %i", async (count) => {
    const stop = new AbortController();
    const generation = engine.generate("Hello", { signal: stop.signal, maxTokens: 400 });
    let pieces = 0;
    const read = async (): Promise<void> => {
      for await (const piece of generation) {
        expect(piece.tokenIds.length).toBeGreaterThan(0);
        if (++pieces === count) stop.abort(REASON);
      }
    };
    await expect(read()).rejects.toBe(REASON);
    await expect(generation.result).rejects.toBe(REASON);
    expect(pieces).toBe(count);
    await expectUsable();
  });

  test("by a signal that comes at any time", async () => {
    for (const ms of [0, 1, 5, 20, 50]) {
      const signal = AbortSignal.timeout(ms);
      const { result } = engine.generate(LONG_PROMPT, { signal, maxTokens: 2000 });
      await expect(result).rejects.toMatchObject({ name: "TimeoutError" });
      await expectUsable();
    }
  });

  test("by breaking out of the loop", async () => {
    const generation = engine.generate("Hello", { maxTokens: 400 });
    for await (const piece of generation) {
      expect(greeting.slice(0, piece.tokenIds.length)).toEqual(piece.tokenIds);
      break;
    }
    await expect(generation.result).rejects.toMatchObject({ name: "AbortError" });
    await expectUsable();
  });

  test("by an error of the reader's own", async () => {
    const read = async (): Promise<void> => {
      for await (const piece of engine.generate("Hello", { maxTokens: 400 })) {
        throw new Error(`cannot show ${piece.text.length} characters`);
      }
    };
    await expect(read()).rejects.toThrow("cannot show");
    await expectUsable();
  });

  test("by an error in the progress callback", async () => {
    const onPrefill = (): void => {
      throw REASON;
    };
    await expect(engine.generate(LONG_PROMPT, { onPrefill }).result).rejects.toBe(REASON);
    await expectUsable();
  });

  test("after its end: nothing happens", async () => {
    const stop = new AbortController();
    const options = { signal: stop.signal, maxTokens: 20 };
    const { tokenIds } = await engine.generate("Hello", options).result;
    stop.abort(REASON);
    expect(tokenIds).toEqual(greeting);
    await expectUsable();
  });
});

describe("progress of a prefill", () => {
  test("goes up by the chunk, to the end", async () => {
    const seen: number[] = [];
    await engine.generate(LONG_PROMPT, {
      maxTokens: 1,
      onPrefill: ({ doneTokens, totalTokens }) => {
        expect(totalTokens).toBe(700);
        seen.push(doneTokens);
      },
    }).result;
    expect(seen).toHaveLength(12); // 4 layers, 3 chunks
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(700);
  });
});

describe("scoring", () => {
  const text = digits(900);

  test("is aborted before it begins, in the context, and in what follows", async () => {
    await expect(
      engine.score(text, { contextTokens: 600, signal: AbortSignal.abort(REASON) }),
    ).rejects.toBe(REASON);
    await expectUsable();
    for (const step of [1, 11, 14, 18]) {
      const stop = new AbortController();
      let steps = 0;
      const onPrefill = (): void => {
        if (++steps === step) stop.abort(REASON);
      };
      const options = { contextTokens: 600, signal: stop.signal, onPrefill };
      await expect(engine.score(text, options)).rejects.toBe(REASON);
      expect(steps).toBe(step);
      await expectUsable();
    }
  });
});

describe("one call at a time:", () => {
  const refused = { name: "InvalidOptionError", message: expect.stringContaining("second call") };

  test("a second one is refused, and the first goes on", async () => {
    const first = engine.generate("Hello", { maxTokens: 20 });
    const { result } = first;
    await expect(engine.generate("Hello").result).rejects.toMatchObject(refused);
    await expect(engine.score("Hello you", { contextTokens: 1 })).rejects.toMatchObject(refused);
    expect((await result).tokenIds).toEqual(greeting);
    const scored = engine.score("Hello you", { contextTokens: 1 });
    await expect(engine.generate("Hello").result).rejects.toMatchObject(refused);
    await expect(engine.score("Hello you", { contextTokens: 1 })).rejects.toMatchObject(refused);
    expect((await scored).logprobs.length).toBeGreaterThan(0);
    await expectUsable();
  });

  test("an answer runs from its first piece to its last", async () => {
    const unread = engine.generate("Hello", { maxTokens: 20 });
    await expectUsable(); // nobody has asked for a piece of it yet
    const pieces = unread[Symbol.asyncIterator]();
    await pieces.next();
    await expect(engine.generate("Hello").result).rejects.toMatchObject(refused);
    await pieces.return?.();
    await expectUsable();
  });
});

describe("destroy", () => {
  const aborted = { name: "AbortError", message: expect.stringContaining("destroyed") };

  async function open(): Promise<Engine> {
    return openTiny("tiny-flow");
  }

  function expectEmpty(gone: Engine): void {
    const { kv, total, weights, activations, staging, uniforms } = gone.memory();
    const bytes = { allocated: kv.allocated, full: kv.full, saved: kv.saved };
    expect({ ...bytes, total, weights, activations, staging, uniforms }).toEqual({
      ...{ allocated: 0, full: 0, saved: 0 },
      ...{ total: 0, weights: 0, activations: 0, staging: 0, uniforms: 0 },
    });
  }

  test("of an idle engine frees everything; calls after it are refused", async () => {
    const gone = await open();
    await gone.generate("Hello", { maxTokens: 3 }).result;
    await gone.destroy();
    expectEmpty(gone);
    await expect(gone.generate("Hello").result).rejects.toMatchObject(aborted);
    await expect(gone.score("Hello you", { contextTokens: 1 })).rejects.toMatchObject(aborted);
    await gone.destroy();
    expectEmpty(gone);
  });

  test("ends a prefill", async () => {
    const gone = await open();
    let destroyed: Promise<void> | undefined;
    const onPrefill = (): void => void (destroyed ??= gone.destroy());
    await expect(gone.generate(LONG_PROMPT, { onPrefill }).result).rejects.toMatchObject(aborted);
    await destroyed;
    expectEmpty(gone);
  });

  test("ends an answer that is being read", async () => {
    const gone = await open();
    const generation = gone.generate("Hello", { maxTokens: 400 });
    let destroyed: Promise<void> | undefined;
    const read = async (): Promise<void> => {
      for await (const piece of generation) {
        if (piece.tokenIds.length > 0) destroyed ??= gone.destroy();
      }
    };
    await expect(read()).rejects.toMatchObject(aborted);
    await destroyed;
    expectEmpty(gone);
  });

  test("ends an answer whose reader waits for it", async () => {
    const gone = await open();
    const generation = gone.generate("Hello", { maxTokens: 400 });
    const read = async (): Promise<void> => {
      for await (const piece of generation) {
        if (piece.tokenIds.length > 0) await gone.destroy();
      }
    };
    await expect(read()).rejects.toMatchObject(aborted);
    await expect(generation.result).rejects.toMatchObject(aborted);
    expectEmpty(gone);
  });

  test("ends a score", async () => {
    const gone = await open();
    let destroyed: Promise<void> | undefined;
    const onPrefill = (): void => void (destroyed ??= gone.destroy());
    const score = gone.score(LONG_PROMPT, { contextTokens: 600, onPrefill });
    await expect(score).rejects.toMatchObject(aborted);
    await destroyed;
    expectEmpty(gone);
  });
});
