import { afterAll, beforeAll, expect, test } from "vitest";
import { loadEngine, type ModelFolder } from "../../src/index.ts";
import { hfFiles } from "../golden/hf-models.ts";
import { gpu } from "../gpu.ts";

const LIMIT_BYTES = 64e6;

/** As many as the sampler can take: the embedding has 67 MB as F32. */
const VOCABULARY = 2 ** 18;

/** Bytes of the largest ArrayBuffer that was made since this was set to 0. */
let largest = 0;

const ARRAYS = ["ArrayBuffer", "Uint8Array", "Uint16Array", "Uint32Array", "Float32Array"] as const;
type View = ArrayBufferView<ArrayBufferLike>;
type ArrayConstructor = new (...args: unknown[]) => ArrayBuffer | View;

const originals = new Map<string, unknown>();

beforeAll(() => {
  for (const name of ARRAYS) {
    const original = globalThis[name] as ArrayConstructor;
    originals.set(name, original);
    // No proxy: it would take most of the test's time, since many views are made.
    function watched(first?: unknown, second?: number, third?: number): ArrayBuffer | View {
      // Arguments that weren't given must not be passed.
      const made =
        third !== undefined
          ? new original(first, second, third)
          : second !== undefined
            ? new original(first, second)
            : new original(first);
      largest = Math.max(
        largest,
        ArrayBuffer.isView(made) ? made.buffer.byteLength : made.byteLength,
      );
      return made;
    }
    watched.prototype = original.prototype as unknown;
    Object.setPrototypeOf(watched, original);
    Object.assign(globalThis, { [name]: watched });
  }
});

afterAll(() => {
  Object.assign(globalThis, Object.fromEntries(originals));
});

interface HeaderEntry {
  readonly dtype: string;
  shape: number[];
  data_offsets: number[];
}

/** `hf-llama-f32` with one layer and a very large vocabulary, whose weights are 0 and lie nowhere. */
function largeModel(): { readonly folder: ModelFolder; readonly bytes: number } {
  const files = hfFiles("hf-llama-f32");
  const text = (name: string): string => new TextDecoder().decode(files.get(name));
  const config = { ...JSON.parse(text("config.json")), num_hidden_layers: 1 };
  files.set(
    "config.json",
    new TextEncoder().encode(JSON.stringify({ ...config, vocab_size: VOCABULARY })),
  );
  const weights = files.get("model.safetensors")!;
  const length = Number(new DataView(weights.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + length))) as Record<
    string,
    HeaderEntry
  >;
  let end = 0;
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (name.includes(".layers.1.")) {
      delete header[name];
      continue;
    }
    if (/embed_tokens|lm_head/.test(name)) entry.shape = [VOCABULARY, 64];
    const bytes = entry.shape.reduce((product, size) => product * size, 4);
    entry.data_offsets = [end, (end += bytes)];
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + json.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(json.length), true);
  start.set(json, 8);
  const size = start.length + end;
  const folder: ModelFolder = {
    name: "large",
    async open(name) {
      const bytes = name === "model.safetensors" ? start : files.get(name);
      if (bytes === undefined) return undefined;
      return {
        name,
        size: bytes === start ? size : bytes.length,
        async read(offset, count, _signal, into) {
          const out = into?.subarray(0, count).fill(0) ?? new Uint8Array(count);
          out.set(bytes.subarray(offset, offset + count));
          return out;
        },
      };
    },
  };
  return { folder, bytes: size };
}

test("loading a tensor of 67 MB makes no ArrayBuffer over 64 MB", async () => {
  const { folder, bytes } = largeModel();
  expect(bytes).toBeGreaterThan(67e6);
  largest = 0;
  const engine = await loadEngine(folder, { gpu });
  const held = engine.memory().weights;
  await engine.destroy();
  expect(held).toBeGreaterThan(33e6);
  expect(largest).toBeGreaterThan(1e6); // the watch works
  expect(largest).toBeLessThan(LIMIT_BYTES);
});
