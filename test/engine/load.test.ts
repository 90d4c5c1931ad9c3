import { beforeAll, describe, expect, test } from "vitest";
import {
  bufferSource,
  type ByteSource,
  type LoadProgress,
  loadEngine,
  LlmError,
  NEEDED_LIMITS,
  SourceError,
} from "../../src/index.ts";
import { gpu } from "../gpu.ts";
import { faultyGpu } from "./faulty-gpu.ts";
import { openTiny, patch, patchUint, tinyFile } from "./tiny-models.ts";

/** Loads what must not load; gives the error, and checks that nothing stays on the GPU. */
async function failToLoad(
  source: Parameters<typeof loadEngine>[0] | Uint8Array<ArrayBuffer>,
  options: Omit<Parameters<typeof loadEngine>[1] & object, "gpu"> = {},
): Promise<Error> {
  const watched = faultyGpu();
  const from = source instanceof Uint8Array ? bufferSource(source, "bad.gguf") : source;
  const error = await loadEngine(from, { ...options, gpu: watched.gpu }).then(
    () => expect.fail("it should not have loaded"),
    (reason: unknown) => reason as Error,
  );
  expect(watched.liveBytes()).toBe(0);
  return error;
}

describe("a file that is no good", () => {
  const key = (name: string) => `llama.${name}`;

  test.each<
    readonly [what: string, file: () => Uint8Array<ArrayBuffer>, name: string, says: string]
  >([
    [
      "of an unknown architecture",
      () => patch(tinyFile("tiny-flow"), "llama", "mamba"),
      "UnsupportedModelError",
      '"mamba" is not supported; supported: llama, qwen2',
    ],
    [
      "with an unknown pre-tokenizer",
      () => patch(tinyFile("tiny-flow"), "smollm", "brandX"),
      "UnsupportedModelError",
      "brandX",
    ],
    [
      "without one of its tensors",
      () => patch(tinyFile("tiny-flow"), "blk.3.ffn_up.weight", "blk.3.ffn_ux.weight"),
      "ModelFormatError",
      'tensor "blk.3.ffn_up.weight" should be of shape [160, 128], got nothing',
    ],
    [
      "without its embedding",
      () => patch(tinyFile("tiny-flow"), "token_embd.weight", "token_embx.weight"),
      "ModelFormatError",
      "token_embd.weight",
    ],
    [
      "with tensors of another shape",
      () => patchUint(tinyFile("tiny-flow"), key("feed_forward_length"), 192),
      "ModelFormatError",
      "should be of shape [192, 128], got [160, 128]",
    ],
    [
      "with more layers than tensors",
      () => patchUint(tinyFile("tiny-flow"), key("block_count"), 5),
      "ModelFormatError",
      "blk.4.",
    ],
    [
      "with heads that don't fit together",
      () => patchUint(tinyFile("tiny-flow"), key("attention.head_count_kv"), 3),
      "ModelFormatError",
      "numKvHeads",
    ],
    [
      "with a head size that no kernel takes",
      () => patchUint(tinyFile("tiny-llama"), key("attention.key_length"), 48),
      "UnsupportedModelError",
      "head size 48",
    ],
    [
      "with fewer embeddings than tokens",
      () => withFewerEmbeddings(tinyFile("tiny-flow")),
      "ModelFormatError",
      "should be of 512 rows, one for each token, got 480",
    ],
    ["that is a text", () => new TextEncoder().encode("# Notes\n"), "ModelFormatError", "GGUF"],
    ["that is empty", () => new Uint8Array(0), "ModelFormatError", "bad.gguf"],
  ])("%s is refused", async (_what, file, name, says) => {
    const error = await failToLoad(file());
    expect({ name: error.name, message: error.message }).toMatchObject({
      ...{ name, message: expect.stringContaining(says) },
    });
  });

  /** Makes the embedding's first dimension 480 in the tensor table. */
  function withFewerEmbeddings(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const name = "token_embd.weight";
    const view = new DataView(file.buffer);
    const at = Buffer.from(file.buffer).indexOf(name) + name.length;
    expect(Number(view.getBigUint64(at + 12, true))).toBe(512); // rank, columns, rows
    view.setBigUint64(at + 12, 480n, true);
    return file;
  }

  test("cut short anywhere is refused", async () => {
    const whole = tinyFile("tiny-flow");
    const lengths = [1, 3, 4, 20, 200, 5000, 20_000, 40_000];
    for (const share of [0.1, 0.5, 0.9, 0.999]) lengths.push(Math.floor(whole.length * share));
    lengths.push(whole.length - 1);
    for (const length of lengths) {
      const error = await failToLoad(whole.slice(0, length));
      expect(error).toBeInstanceOf(LlmError);
      expect(error.message).toContain("bad.gguf");
    }
  });
});

describe("a source that fails", () => {
  /** A good file of which the `fatal`-th read fails. */
  function failing(fatal: number, error: Error): { source: ByteSource; reads: () => number } {
    const good = bufferSource(tinyFile("tiny-flow"), "cut.gguf");
    let reads = 0;
    const source: ByteSource = {
      ...good,
      async read(...args) {
        if (++reads === fatal) throw error;
        return good.read(...args);
      },
    };
    return { source, reads: () => reads };
  }

  test("at any read: its error comes through, and nothing stays", async () => {
    const counted = failing(0, new Error("never"));
    await (await loadEngine(counted.source, { gpu })).destroy();
    const reads = counted.reads();
    expect(reads).toBeGreaterThan(30);
    for (const fatal of [1, 5, 10, 25, reads]) {
      const error = new SourceError("cut.gguf", `the connection was cut at read ${fatal}`);
      expect(await failToLoad(failing(fatal, error).source)).toBe(error);
    }
  });

  test("at once, or that is none", async () => {
    const nowhere = await failToLoad("http://localhost:9/model.gguf");
    expect(nowhere).toMatchObject({ name: "SourceError" });
    for (const nothing of [undefined, null, 7, {}]) {
      const error = await failToLoad(nothing as unknown as ByteSource);
      expect(error).toMatchObject({ name: "InvalidOptionError", option: "source" });
    }
  });
});

describe("loading", () => {
  const seen: LoadProgress[] = [];
  beforeAll(async () => {
    await openTiny("tiny-flow", { onProgress: (progress) => void seen.push(progress) });
  });

  test("reports every byte, in order, from opening to ready", () => {
    const { length: size } = tinyFile("tiny-flow");
    const stages = seen.map(({ stage }) => stage).filter((stage, i, all) => stage !== all[i - 1]);
    expect(stages).toEqual(["open", "weights", "compile", "ready"]);
    const loaded = seen.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
    expect(loaded.at(-1)).toBe(size);
    expect(new Set(seen.map(({ totalBytes }) => totalBytes))).toEqual(new Set([size]));
  });

  test("is aborted at any time, and nothing stays", async () => {
    const reason = new Error("the user left");
    const source = (): ByteSource => bufferSource(tinyFile("tiny-flow"), "tiny.gguf");
    expect(await failToLoad(source(), { signal: AbortSignal.abort(reason) })).toBe(reason);
    for (const report of [1, 2, 12, seen.length - 1]) {
      const stop = new AbortController();
      let reports = 0;
      const onProgress = (): void => {
        if (++reports === report) stop.abort(reason);
      };
      expect(await failToLoad(source(), { signal: stop.signal, onProgress })).toBe(reason);
    }
  });

  test("an error in the progress callback comes through, and nothing stays", async () => {
    const reason = new Error("no such element");
    const onProgress = ({ stage }: LoadProgress): void => {
      if (stage === "weights") throw reason;
    };
    const source = bufferSource(tinyFile("tiny-flow"), "tiny.gguf");
    expect(await failToLoad(source, { onProgress })).toBe(reason);
  });

  test("wants a cache type that there is", async () => {
    const source = bufferSource(tinyFile("tiny-flow"), "tiny.gguf");
    const cache = { kvDtype: "q3" as "f16" };
    const error = await failToLoad(source, { cache });
    expect(error.message).toBe('kvDtype must be "f16" or "f32", got q3');
  });

  /** Loads on a WebGPU with this adapter; gives the error. */
  async function failOn(adapter: object | null): Promise<unknown> {
    const fake = { requestAdapter: async () => adapter } as unknown as GPU;
    const source = bufferSource(tinyFile("tiny-flow"), "tiny.gguf");
    return loadEngine(source, { gpu: fake }).catch((reason: unknown) => reason);
  }

  const adapter = { info: {}, features: new Set(), limits: NEEDED_LIMITS };

  test("says that there is no adapter", async () => {
    expect(await failOn(null)).toMatchObject({
      name: "WebGpuUnavailableError",
      reason: "no-adapter",
    });
  });

  test.each(Object.entries(NEEDED_LIMITS))("says that %s is under %i", async (limit, needed) => {
    const limits = { ...NEEDED_LIMITS, [limit]: needed - 1 };
    expect(await failOn({ ...adapter, limits })).toMatchObject({
      name: "UnsupportedDeviceError",
      requirement: limit,
      required: needed,
      actual: needed - 1,
    });
  });

  test("says that the adapter gives no device", async () => {
    const cause = new Error("out of handles");
    const error = await failOn({ ...adapter, requestDevice: () => Promise.reject(cause) });
    expect(error).toMatchObject({ name: "WebGpuUnavailableError", reason: "no-device", cause });
    expect(String(error)).toContain("could not be opened (Error: out of handles)");
  });
});

describe("a hostile chat template", () => {
  test("that loops for ever ends in its error; raw prompts still work", async () => {
    const file = tinyFile("tiny-flow");
    const start = "{% for message in messages %}";
    const loop = "{% for i in range(9**9) %}{{i}}";
    const from = Buffer.from(file.buffer).indexOf(start);
    expect(from).toBeGreaterThan(0);
    const end = Buffer.from(file.buffer).indexOf("{% endfor %}", from);
    file.set(Buffer.from(loop.padEnd(end - from)), from);
    const engine = await openTiny(file);
    const question = [{ role: "user", content: "Hi" }] as const;
    const began = performance.now();
    await expect(engine.generate(question).result).rejects.toMatchObject({
      name: "ChatTemplateError",
    });
    expect(performance.now() - began).toBeLessThan(10_000);
    const { tokenIds } = await engine.generate("Hi", { maxTokens: 3 }).result;
    expect(tokenIds).toHaveLength(3);
  });
});
