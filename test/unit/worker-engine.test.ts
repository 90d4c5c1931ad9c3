import { expect, test, vi } from "vitest";
import {
  bufferSource,
  type ByteSource,
  createWorkerEngine,
  DeviceLostError,
  type Engine,
  InvalidOptionError,
  type LoadProgress,
  type ModelFolder,
  SourceError,
  WorkerError,
} from "../../src/index.ts";
import { serveEngine, type WorkerScope } from "../../src/api/worker-host.ts";
import {
  PIECE_CREDITS,
  PROMISE_METHODS,
  type PromiseMethod,
} from "../../src/api/worker-protocol.ts";
import { ChannelWorker, type Load } from "./channel-worker.ts";
import { FakeEngine } from "./fake-engine.ts";

async function open(): Promise<{ fake: FakeEngine; worker: ChannelWorker; engine: Engine }> {
  const fake = new FakeEngine();
  const worker = new ChannelWorker(() => fake);
  return { fake, worker, engine: await createWorkerEngine(worker, "https://host.example/a.gguf") };
}

async function collect(pieces: AsyncIterable<{ readonly text: string }>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece.text;
  return text;
}

/** What the fake engine's methods give. */
const VALUES: Partial<Record<PromiseMethod, unknown>> = {
  score: { called: "score" },
  previewPrompt: { called: "previewPrompt" },
  keptPositions: { called: "keptPositions" },
  tokenScores: { called: "tokenScores" },
  trace: { called: "trace" },
  read: { called: "read" },
  save: { called: "save" },
  restore: { called: "restore" },
};

/** What a promise rejects with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved with ${String(value)}`),
    (error: unknown) => error,
  );
}

test("a handle knows what the engine knows, and gives its answers", async () => {
  const { fake, engine } = await open();
  expect(engine.config).toEqual(fake.config);
  expect(engine.adapter).toEqual(fake.adapter);
  expect(engine.kernelChoices).toEqual(fake.kernelChoices);
  expect(engine.dispatchesPerToken).toBe(0);
  const generation = engine.generate([{ role: "user", content: "count" }], { maxTokens: 40 });
  const text = await collect(generation);
  const result = await generation.result;
  expect(result.text).toBe(text);
  expect(result.tokenIds).toEqual(Array.from({ length: 40 }, (_, id) => id));
  expect(engine.dispatchesPerToken).toBe(17);
  expect(engine.memory().total).toBe(50);
  expect((await engine.generate("again", { maxTokens: 2 }).result).text).toBe("0 1 ");
  await engine.destroy();
});

test("options of sampling arrive, and log-probabilities come back", async () => {
  const { fake, engine } = await open();
  const options = { logprobs: 1, logitBias: { 5: -100 }, frequencyPenalty: 1, presencePenalty: -1 };
  const generation = engine.generate("count", options);
  const told: unknown[] = [];
  for await (const { logprobs } of generation) told.push(...(logprobs ?? []));
  expect(fake.options).toMatchObject(options);
  expect((await generation.result).logprobs).toEqual(told);
  const best = { tokenId: 0, text: "0 ", bytes: [], logprob: -0 };
  expect(told[2]).toEqual({ tokenId: 2, text: "2 ", bytes: [50, 32], logprob: -2, top: [best] });
  await engine.destroy();
});

test.each(PROMISE_METHODS)("%s is forwarded with its arguments", async (method) => {
  const { fake, engine } = await open();
  const args = [{ nested: { list: [1], bytes: Uint8Array.of(1) } }, 3];
  const value = await (engine[method] as (...args: unknown[]) => Promise<unknown>)(...args);
  const passed = method === "destroy" ? [] : args;
  expect(fake.calls).toEqual([[method, ...passed]]);
  expect(value).toEqual(VALUES[method]);
  await engine.destroy();
});

test("a signal goes along with each of them", async () => {
  const { fake, engine } = await open();
  const stop = new AbortController();
  const { signal } = stop;
  await engine.previewPrompt("x", { signal });
  await engine.tokenScores(3, { signal });
  await engine.trace({ signal });
  await engine.loadAllParts({ signal });
  const options = { signal: expect.any(AbortSignal) as AbortSignal };
  expect(fake.calls).toEqual([
    ["previewPrompt", "x", options],
    ["tokenScores", 3, options],
    ["trace", options],
    ["loadAllParts", options],
  ]);
  stop.abort("enough");
  expect(await failure(engine.trace({ signal }))).toBe("enough");
  await engine.destroy();
});

test("progress of loading comes with the promise's options, and a source as what it is", async () => {
  const sources: unknown[] = [];
  const load: Load = async (source, options) => {
    sources.push(source);
    options?.onProgress?.({ stage: "open", loadedBytes: 1, totalBytes: 2 });
    expect(options?.cache).toEqual({ policy: "pyramidkv", budget: "12%" });
    return new FakeEngine();
  };
  const file = new File(["GGUF"], "a.gguf");
  const given = [new URL("https://host.example/b.gguf"), "https://host.example/c.gguf", file];
  for (const source of given) {
    const onProgress = vi.fn<(progress: LoadProgress) => void>();
    const cache = { policy: "pyramidkv", budget: "12%" } as const;
    const engine = await createWorkerEngine(new ChannelWorker(load), source, { cache, onProgress });
    expect(onProgress.mock.calls).toEqual([[{ stage: "open", loadedBytes: 1, totalBytes: 2 }]]);
    await engine.destroy();
  }
  expect(sources.slice(0, 2)).toEqual([
    "https://host.example/b.gguf",
    "https://host.example/c.gguf",
  ]);
  expect(sources[2]).toBeInstanceOf(Blob);
  expect(await (sources[2] as Blob).text()).toBe("GGUF");
});

test("a source that is read by a function stays on the page's side", async () => {
  const reads: [number, number][] = [];
  const memory = Uint8Array.from([1, 2, 3, 4, 5]);
  const inner = bufferSource(memory, "five bytes");
  const source: ByteSource = {
    ...inner,
    async read(offset, length, signal) {
      reads.push([offset, length]);
      if (offset === 4) throw new SourceError("five bytes", "gone");
      if (offset === 3) await new Promise((_, reject) => signal?.addEventListener("abort", reject));
      return inner.read(offset, length, signal);
    },
  };
  const stop = new AbortController();
  const load: Load = async (remote) => {
    const { name, size, read } = remote as ByteSource;
    expect([name, size]).toEqual(["five bytes", 5]);
    expect(await read(1, 3)).toEqual(Uint8Array.from([2, 3, 4]));
    await expect(read(4, 1)).rejects.toThrow(new SourceError("five bytes", "gone"));
    const waits = read(3, 1, stop.signal);
    stop.abort(new Error("enough"));
    await expect(waits).rejects.toThrow("enough");
    return new FakeEngine();
  };
  const engine = await createWorkerEngine(new ChannelWorker(load), source);
  expect(reads).toEqual([
    [1, 3],
    [4, 1],
    [3, 1],
  ]);
  expect(memory).toEqual(Uint8Array.from([1, 2, 3, 4, 5])); // copied, not given away
  await engine.destroy();
});

test("a folder stays on the page's side, and its files are opened when they are asked for", async () => {
  const asked: string[] = [];
  const stop = new AbortController();
  const folder: ModelFolder = {
    name: "a stored repository",
    async open(path, signal) {
      asked.push(path);
      if (path === "config.json") return bufferSource(Uint8Array.of(1, 2, 3), path);
      if (path === "locked.json") throw new SourceError(path, "may not be read");
      if (path === "slow.json") {
        await new Promise((_, reject) => signal?.addEventListener("abort", reject));
      }
      return undefined;
    },
  };
  const load: Load = async (remote) => {
    const { name, open: openFile } = remote as ModelFolder;
    expect([name, asked]).toEqual(["a stored repository", []]);
    const file = await openFile("config.json");
    expect([file?.name, file?.size]).toEqual(["config.json", 3]);
    expect(await file?.read(1, 2)).toEqual(Uint8Array.of(2, 3));
    expect(await openFile("none.json")).toBeUndefined();
    await expect(openFile("locked.json")).rejects.toThrow(SourceError);
    const waits = openFile("slow.json", stop.signal);
    stop.abort(new Error("enough"));
    await expect(waits).rejects.toThrow("enough");
    return new FakeEngine();
  };
  const engine = await createWorkerEngine(new ChannelWorker(load), folder);
  expect(asked).toEqual(["config.json", "none.json", "locked.json", "slow.json"]);
  await engine.destroy();
});

test("the worker waits for a consumer that is busy", async () => {
  const { fake, engine } = await open();
  let taken = 0;
  for await (const piece of engine.generate("x", { maxTokens: 100 })) {
    taken++;
    if (taken % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(piece.text).toBe(`${taken - 1} `);
    expect(fake.pulled).toBeLessThanOrEqual(taken + PIECE_CREDITS);
  }
  expect(taken).toBe(100);
  await engine.destroy();
});

test("breaking off stops the engine before the loop is left, and it can be called again", async () => {
  const { fake, engine } = await open();
  const generation = engine.generate("x", { maxTokens: 1000 });
  for await (const piece of generation) if (piece.text === "2 ") break;
  expect(fake.ended).toBe("stopped");
  expect(fake.pulled).toBeLessThanOrEqual(3 + PIECE_CREDITS);
  await expect(generation.result).rejects.toMatchObject({ name: "AbortError" });
  expect((await engine.generate("y").result).text).toBe("0 1 2 ");
  await engine.destroy();
});

test("a signal stops a call with its own reason, before and in the middle", async () => {
  const { fake, engine } = await open();
  const reason = new Error("no time");
  const early = engine.generate("x", { signal: AbortSignal.abort(reason) });
  expect(await failure(early.result)).toBe(reason);
  expect(fake.calls).toEqual([]);
  const stop = new AbortController();
  const late = engine.generate("x", { maxTokens: 1000, signal: stop.signal });
  const ended = collect(
    (async function* () {
      for await (const piece of late) {
        if (piece.text === "5 ") stop.abort(reason);
        yield piece;
      }
    })(),
  );
  expect(await failure(ended)).toBe(reason);
  expect(fake.ended).toBe("stopped");
  await engine.destroy();
});

test("a consumer that has stopped taking can still abort", async () => {
  const { fake, engine } = await open();
  const stop = new AbortController();
  const generation = engine.generate("x", { maxTokens: 1000, signal: stop.signal });
  const pieces = generation[Symbol.asyncIterator]();
  await pieces.next();
  await vi.waitFor(() => expect(fake.pulled).toBe(PIECE_CREDITS));
  stop.abort();
  await vi.waitFor(() => expect(fake.options.signal?.aborted).toBe(true));
  await expect(
    (async () => {
      while (!(await pieces.next()).done);
    })(),
  ).rejects.toMatchObject({ name: "AbortError" });
  await engine.destroy();
});

test("memory is up to date in every callback", async () => {
  const { engine } = await open();
  const seen: number[] = [];
  await new Promise((resolve) => setTimeout(resolve, 110)); // states go along ten times a second
  await engine.generate("x", { onPrefill: () => seen.push(engine.memory().total) }).result;
  expect(seen).toEqual([10]);
  await engine.destroy();
});

test("what a callback throws ends its call, and only that", async () => {
  const { fake, engine } = await open();
  const wrong = new Error("a bug of the page");
  const onPrefill = (): never => {
    throw wrong;
  };
  expect(await failure(engine.generate("x", { maxTokens: 1000, onPrefill }).result)).toBe(wrong);
  expect(fake.ended).toBe("stopped");
  expect((await engine.generate("y").result).text).toBe("0 1 2 ");
  await engine.destroy();
});

test("an error keeps its class, code, fields and cause", async () => {
  const { fake, engine } = await open();
  fake.failure = new DeviceLostError("unknown", "driver reset", { cause: new TypeError("why") });
  const error = await failure(engine.score("x", { contextTokens: 1 }));
  expect(error).toBeInstanceOf(DeviceLostError);
  expect(error).toMatchObject({ code: "device-lost", reason: "unknown", name: "DeviceLostError" });
  expect((error as Error).cause).toEqual(new TypeError("why"));
  await engine.destroy();
});

test("a failed load ends the worker, with the load's own error", async () => {
  const worker = new ChannelWorker(() => {
    throw new SourceError("a.gguf", "answered 404");
  });
  const error = await failure(createWorkerEngine(worker, "https://host.example/a.gguf"));
  expect(error).toEqual(new SourceError("a.gguf", "answered 404"));
  expect(error).toBeInstanceOf(SourceError);
  expect(worker.terminated).toBe(true);
});

test("an aborted load ends the worker with the signal's reason", async () => {
  const stop = new AbortController();
  const worker = new ChannelWorker(async (_, options) => {
    await new Promise((resolve) => options?.signal?.addEventListener("abort", resolve));
    options?.signal?.throwIfAborted();
    return new FakeEngine();
  });
  const { signal } = stop;
  const opening = failure(createWorkerEngine(worker, "https://host.example/a.gguf", { signal }));
  stop.abort("changed my mind");
  expect(await opening).toBe("changed my mind");
  expect(worker.terminated).toBe(true);
});

test("a load is aborted at once where the worker never answers", async () => {
  const reason = new Error("no time");
  for (const abort of ["before", "meanwhile"] as const) {
    const worker = new ChannelWorker(() => new Promise(() => {}));
    const stop = new AbortController();
    if (abort === "before") stop.abort(reason);
    const opening = failure(createWorkerEngine(worker, "a.gguf", { signal: stop.signal }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(reason);
    expect(await opening).toBe(reason);
    expect(worker.terminated).toBe(true);
  }
});

test("destroy ends the engine, then the worker; what comes later says so", async () => {
  const { fake, worker, engine } = await open();
  await engine.generate("x").result;
  await Promise.all([engine.destroy(), engine.destroy()]);
  expect(fake.calls.filter((call) => (call as string[])[0] === "destroy")).toHaveLength(1);
  expect(engine.memory().total).toBe(0);
  expect(worker.terminated).toBe(true);
  const gone = { name: "AbortError", message: "the engine was destroyed" };
  await expect(engine.keptPositions()).rejects.toMatchObject(gone);
  await expect(engine.generate("x").result).rejects.toMatchObject(gone);
});

test("a worker that crashes fails what runs and what comes", async () => {
  const { worker, engine } = await open();
  const running = engine.generate("x", { maxTokens: 1000 }).result;
  const failed = failure(running);
  await new Promise((resolve) => setTimeout(resolve, 5));
  worker.crash("out of memory");
  const error = await failed;
  expect(error).toBeInstanceOf(WorkerError);
  expect(error).toMatchObject({ code: "worker" });
  expect((error as Error).message).toContain("out of memory");
  expect(await failure(engine.setCache({}))).toBe(error);
  expect(worker.terminated).toBe(true);
  await engine.destroy(); // nothing is left to free
});

test("what can't go to a worker is refused by name", async () => {
  const { worker, engine } = await open();
  const wrong = { maxTokens: 1, stop: [() => {}] } as never;
  await expect(engine.generate("x", wrong).result).rejects.toThrow(InvalidOptionError);
  expect((await engine.generate("y").result).text).toBe("0 1 2 ");
  await engine.destroy();
  const withGpu = { gpu: {} } as never;
  await expect(createWorkerEngine(worker, "a.gguf", withGpu)).rejects.toThrow(
    "gpu must be left out",
  );
});

test("a page and a worker of different versions don't talk past each other", async () => {
  const { port1, port2 } = new MessageChannel();
  const scope = new EventTarget();
  serveEngine(scope as WorkerScope, () => expect.fail("loaded"));
  scope.dispatchEvent(new MessageEvent("message", { data: { something: "of the app's" } }));
  scope.dispatchEvent(
    new MessageEvent("message", { data: { ziggurat: 0, port: port2, lock: "x" } }),
  );
  const answer = new Promise<{ error: { type: string; message: string } }>((resolve) => {
    port1.addEventListener("message", ({ data }) => {
      if ((data as { type: string }).type === "failed") resolve(data as never);
    });
    port1.start();
  });
  port1.postMessage({ type: "call", id: 0, method: "load", args: ["a", {}], callbacks: [] });
  const { error } = await answer;
  expect(error.type).toBe("worker");
  expect(error.message).toContain("version 0");
  port1.close();
});
