import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  bufferSource,
  type CacheOptions,
  type ChatMessage,
  createSession,
  createWorkerEngine,
  type Engine,
  type GenerateOptions,
  type GenerateResult,
  InvalidOptionError,
  loadEngine,
  type ModelFolder,
  type QuantizedWeights,
  restoreSession,
  SessionFormatError,
} from "../../src/index.ts";
import { hfFiles } from "../golden/hf-models.ts";
import { gpu } from "../gpu.ts";
import { ChannelWorker } from "../unit/channel-worker.ts";
import { story } from "./chat.ts";
import { textModel } from "./text-model.ts";
import { digits, openTiny } from "./tiny-models.ts";

/** Among them: nothing evicted yet, rows evicted by the prompt, heads of different lengths, no window, no eviction at all. */
const CACHES: readonly (readonly [string, CacheOptions])[] = [
  ["full", {}],
  ["full, f32", { kvDtype: "f32" }],
  ["pyramidkv", { policy: "pyramidkv", budget: 64 }],
  ["pyramidkv, f32", { policy: "pyramidkv", budget: 64, kvDtype: "f32" }],
  ["ragged ada-kv", { policy: "ada-kv", budget: 48, windowSize: 32 }],
  ["knorm", { policy: "knorm", budget: 64 }],
  ["a budget that is used up later", { policy: "pyramidkv", budget: 300 }],
];

const engines = new Map<string, Engine>();
let model: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  model = await textModel();
  for (const kvDtype of ["f16", "f32"] as const) {
    engines.set(kvDtype, await openTiny(model.slice(), { cache: { kvDtype } }));
  }
});

async function engineWith(cache: CacheOptions): Promise<Engine> {
  const engine = engines.get(cache.kvDtype ?? "f16") as Engine;
  await engine.setCache(cache);
  return engine;
}

/** What an answer came to, but for time and the peaks of memory. */
function outcome({ tokenIds, text, usage, memory, cache }: GenerateResult): object {
  const { kv, hostBytes: _saved, ...rest } = memory;
  return { tokenIds, text, usage, kv: { ...kv, peak: 0 }, cache, weights: rest.weights };
}

const user = (content: string): ChatMessage => ({ role: "user", content });

describe.each(CACHES)("%s:", (_name, cache) => {
  const document = [user(story(150))];
  const first = [...document, user("how high was the water")];
  const options: GenerateOptions = { maxTokens: 40 };

  /** Three answers that follow each other; `between` is done before the second and third. */
  async function talk(
    engine: Engine,
    between: (turn: number) => Promise<Engine>,
  ): Promise<GenerateResult[]> {
    const read = await engine.read(document);
    expect(read.cachedTokens).toBe(0);
    const results: GenerateResult[] = [];
    let messages: ChatMessage[] = first;
    for (let turn = 0; turn < 3; turn++) {
      const current = await between(turn);
      const result = await current.generate(messages, options).result;
      expect(result.usage.cachedTokens).toBeGreaterThanOrEqual(read.promptTokens);
      results.push(result);
      messages = [...messages, { role: "assistant", content: result.text }, user(story(60, turn))];
    }
    return results;
  }

  test("a restored session answers as one that was never saved", async () => {
    const engine = await engineWith(cache);
    const expected = await talk(engine, async () => engine);
    const kept = await engine.keptPositions();
    await engineWith(cache);
    const actual = await talk(engine, async (turn) => {
      const saved = await engine.save({ note: `turn ${turn} ☀` });
      // Another conversation, and another cache, come between.
      await engine.generate(digits(90), { maxTokens: 3 }).result;
      await engineWith(cache);
      const { tokens, note } = await engine.restore(saved);
      expect(note).toBe(`turn ${turn} ☀`);
      expect(engine.memory().kv.tokens).toBe(tokens);
      return engine;
    });
    expect(actual.map(outcome)).toEqual(expected.map(outcome));
    expect(await engine.keptPositions()).toEqual(kept);
  });

  test("saving changes nothing, and the same session gives the same file", async () => {
    const engine = await engineWith(cache);
    await engine.generate(first, options).result;
    const before = engine.memory();
    const [one, two] = [await engine.save(), await engine.save()];
    expect({ ...engine.memory(), peaks: 0, peak: 0 }).toEqual({ ...before, peaks: 0, peak: 0 });
    expect(await hashOf(two)).toBe(await hashOf(one));
    await engine.restore(one);
    expect(await hashOf(await engine.save())).toBe(await hashOf(one));
  });
});

async function hashOf(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return createHash("sha256").update(bytes).digest("hex");
}

describe("a session", () => {
  const cache: CacheOptions = { policy: "snapkv", budget: 80 };

  test("of a document goes on from it, beside its clones, in a new engine too", async () => {
    const engine = await engineWith(cache);
    const session = createSession(engine);
    const { promptTokens } = await session.append(story(150));
    const [one, two] = [await session.clone(), await session.clone()];
    const answers = [
      await one.generate("how high", { maxTokens: 12 }).result,
      await two.generate(story(40, 2), { maxTokens: 12 }).result,
      await one.generate("and then", { maxTokens: 12 }).result,
    ];
    for (const { usage } of answers) {
      expect(usage.cachedTokens).toBeGreaterThanOrEqual(promptTokens);
    }
    expect(one.messages.map(({ role }) => role)).toEqual([
      "user",
      "user",
      "assistant",
      "user",
      "assistant",
    ]);
    expect(session.messages).toEqual([user(story(150))]);
    const saved = await session.save();
    const fresh = await openTiny(model.slice(), { cache });
    const restored = await restoreSession(fresh, saved);
    expect(restored.messages).toEqual(session.messages);
    const again = await restored.generate("how high", { maxTokens: 12 }).result;
    expect(outcome(again)).toEqual(outcome(answers[0]));
  });

  test("that is used after the engine was asked directly reads again, and answers alike", async () => {
    const engine = await engineWith(cache);
    const session = createSession(engine);
    await session.append(story(150));
    const { tokenIds } = await (await session.clone()).generate("how high").result;
    await engine.generate(digits(30), { maxTokens: 2 }).result;
    expect((await session.generate("how high").result).tokenIds).toEqual(tokenIds);
  });

  test("is the same through a worker's handle", async () => {
    const engine = await engineWith(cache);
    const here = createSession(engine);
    await here.append(story(150));
    const expected = await here.generate("how high", { maxTokens: 12 }).result;
    const worker = new ChannelWorker((source, options) => loadEngine(source, { ...options, gpu }));
    const handle = await createWorkerEngine(worker, new File([model], "tiny.gguf"), { cache });
    const there = createSession(handle);
    let steps = 0;
    await there.append(story(150), { onPrefill: () => void steps++ });
    expect(steps).toBeGreaterThan(0);
    const saved = await there.save();
    const answer = await there.generate("how high", { maxTokens: 12 }).result;
    expect(outcome(answer)).toEqual(outcome(expected));
    const again = await restoreSession(handle, saved);
    const restored = await again.generate("how high", { maxTokens: 12 }).result;
    expect(outcome(restored)).toEqual(outcome(expected));
    const damaged = new Blob([saved.slice(0, 900), saved.slice(0, saved.size - 900)]);
    await expect(restoreSession(handle, damaged)).rejects.toBeInstanceOf(SessionFormatError);
    await handle.destroy();
    expect(worker.terminated).toBe(true);
  });

  test("whose engine got another cache reads again, in that one", async () => {
    const engine = await engineWith(cache);
    const session = createSession(engine);
    await session.append(story(150));
    await session.save();
    await engine.setCache({});
    await createSession(engine).append("hello"); // holds the engine now
    const result = await session.generate("how high", { maxTokens: 12 }).result;
    expect(result.usage.cachedTokens).toBe(0);
    expect(result.cache.policy).toBe("full");
  });

  test("keeps what it had when an answer is broken off", async () => {
    const engine = await engineWith(cache);
    const session = createSession(engine);
    await session.append(story(150));
    const expected = await (await session.clone()).generate("how high", { maxTokens: 12 }).result;
    for await (const piece of session.generate(story(90, 1))) if (piece.text !== "") break;
    const abort = AbortSignal.abort();
    await expect(session.append("more", { signal: abort })).rejects.toThrow(/abort/);
    expect(session.messages).toHaveLength(1);
    const result = await session.generate("how high", { maxTokens: 12 }).result;
    expect(outcome(result)).toEqual(outcome(expected));
  });
});

test("a session that is used while another one's answer runs is refused, and takes nothing from it", async () => {
  const engine = await engineWith({ policy: "snapkv", budget: 80 });
  const first = createSession(engine);
  const { promptTokens } = await first.append(story(150));
  for (const isSaved of [false, true]) {
    if (isSaved) await first.save();
    const second = createSession(engine);
    const running = first.generate("how high", { maxTokens: 4 });
    for await (const piece of running) {
      expect(piece.tokenIds.length).toBeGreaterThan(0);
      await expect(second.append("more")).rejects.toMatchObject({ option: "engine" });
    }
    await second.append("more");
    const { usage } = await first.generate("and how wide", { maxTokens: 2 }).result;
    expect([isSaved, usage.cachedTokens]).toEqual([isSaved, expect.any(Number)]);
    expect(usage.cachedTokens).toBeGreaterThanOrEqual(promptTokens);
  }
});

test("saving and restoring can be aborted, and the engine holds what it held", async () => {
  const engine = await engineWith({ policy: "pyramidkv", budget: 64 });
  const session = createSession(engine);
  const { promptTokens } = await session.append(story(150));
  const reason = new Error("enough");
  /** Begins a call, and aborts it at once. */
  const aborted = async (call: (signal: AbortSignal) => Promise<unknown>): Promise<void> => {
    const stop = new AbortController();
    const result = call(stop.signal);
    stop.abort(reason);
    await expect(result).rejects.toBe(reason);
  };
  await aborted((signal) => session.save({ signal }));
  await aborted((signal) => session.clone({ signal }));
  const saved = await session.save();
  const before = engine.memory();
  await aborted((signal) => restoreSession(engine, saved, { signal }));
  expect(engine.memory()).toEqual(before);
  const { usage } = await session.generate("how high", { maxTokens: 2 }).result;
  expect(usage.cachedTokens).toBe(promptTokens);
  // Another conversation's cache would have to make room first.
  const other = createSession(engine);
  await aborted((signal) => other.append("more", { signal }));
  const next = await session.generate("and how wide", { maxTokens: 2 }).result;
  expect(next.usage.cachedTokens).toBeGreaterThan(promptTokens);
});

describe("a file is refused,", () => {
  test("before anything was read there is none", async () => {
    const engine = await engineWith({});
    await expect(engine.save()).rejects.toThrow(InvalidOptionError);
  });

  test("of another model, policy, budget or dtype, and the engine is as it was", async () => {
    const saved = await (async () => {
      const engine = await engineWith({ policy: "pyramidkv", budget: 64 });
      await engine.read(story(150));
      return engine.save();
    })();
    const other = await openTiny("tiny-flow", { cache: { policy: "pyramidkv", budget: 64 } });
    for (const [engine, field] of [
      [other, /model\.weights/],
      [await openTiny("tiny-llama", { cache: { policy: "pyramidkv", budget: 64 } }), /model\./],
      [engines.get("f32") as Engine, /cache\./],
    ] as const) {
      const expected = (await engine.generate(digits(30), { maxTokens: 5 }).result).tokenIds;
      const before = engine.memory();
      const error = await engine.restore(saved).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SessionFormatError);
      expect((error as Error).message).toMatch(field);
      expect(engine.memory()).toEqual(before);
      const again = await engine.generate(digits(30), { maxTokens: 5 }).result;
      expect(again.tokenIds).toEqual(expected);
      expect(again.usage.cachedTokens).toBeGreaterThan(0);
    }
    const engine = engines.get("f16") as Engine;
    for (const cache of [
      {},
      { policy: "snapkv", budget: 64 },
      { policy: "pyramidkv", budget: 65 },
    ] as const) {
      await engine.setCache(cache);
      await expect(engine.restore(saved)).rejects.toThrow(/cache\.(policy|budget)/);
    }
  });

  test("of the same files whose floats were quantised otherwise, or of other floats", async () => {
    const files = hfFiles("hf-llama-f32");
    const open = async (weights?: QuantizedWeights): Promise<Engine> => {
      const folder: ModelFolder = {
        name: "a folder",
        async open(name) {
          const bytes = files.get(name);
          return bytes && bufferSource(bytes, name);
        },
      };
      return loadEngine(folder, { gpu, ...(weights && { weights }) });
    };
    const first = await open("q4");
    await first.read([1, 2, 3]);
    const saved = await first.save();
    await first.destroy();
    const refuses = async (engine: Engine): Promise<void> => {
      await expect(engine.restore(saved)).rejects.toThrow(/model\.weights/);
      await engine.destroy();
    };
    await refuses(await open("q8"));
    await refuses(await open());
    negate(files.get("model.safetensors")!, "model.layers.1.mlp.down_proj.weight");
    await refuses(await open("q4"));
  });
});

/** Turns the sign of a tensor of F32 in a safetensors file. */
function negate(file: Uint8Array<ArrayBuffer>, name: string): void {
  const view = new DataView(file.buffer);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [from, to] = header[name]!.data_offsets;
  for (let at = start + from; at < start + to; at += 4) {
    view.setFloat32(at, -view.getFloat32(at, true), true);
  }
}
