import type { RunTrace, TraceBuffer, TraceEvent } from "../../src/profile.ts";

const LAYERS = 4;
const HEADS = 2;
const TOKENS = 64;

/** A run as an engine would write it, small and made up: for pages and exports, without a GPU. */
export function sampleTrace(): RunTrace {
  const buffers: TraceBuffer[] = [];
  const events: TraceEvent[] = [];
  const alloc = (
    at: number,
    label: string,
    purpose: TraceBuffer["purpose"],
    bytes: number,
    layer?: number,
  ): void => {
    const made = { id: buffers.length, label, purpose, bytes, usage: 128, at };
    const buffer = layer === undefined ? made : { ...made, layer };
    buffers.push(buffer);
    events.push({ type: "alloc", buffer });
  };
  alloc(1, "token_embd.weight", "weights", 4_000_000);
  alloc(2, "decode params", "uniforms", 65_536);
  alloc(3, "cache table", "kv", 128);
  alloc(10, "prefill hidden states", "activations", 900_000);
  const hidden = buffers.at(-1)!.id;
  alloc(11, "staged keys", "kv", 200_000);
  alloc(11, "staged values", "kv", 200_000);
  const rows = (layer: number): number => 40 - 8 * layer;
  const layerBytes = (layer: number): number => (rows(layer) + 64) * HEADS * 260;
  for (let layer = 0; layer < LAYERS; layer++) {
    const each = (rows(layer) + 64) * HEADS;
    alloc(20 + 10 * layer, `layer ${layer} keys`, "kv", each * 128, layer);
    alloc(20 + 10 * layer, `layer ${layer} values`, "kv", each * 128, layer);
    alloc(20 + 10 * layer, `layer ${layer} positions`, "kv", each * 4, layer);
  }
  for (const id of [hidden, hidden + 1, hidden + 2]) events.push({ type: "free", id, at: 60 });
  const kept = Array.from({ length: LAYERS }, (_, layer) =>
    Array.from({ length: HEADS }, (_head, head) => [
      ...Array.from({ length: rows(layer) - 8 }, (_row, i) => (head === 0 ? i : i + 1)),
      ...Array.from({ length: 8 }, (_row, i) => TOKENS - 8 + i),
    ]),
  );
  const layers = Array.from({ length: LAYERS }, (_, layer) => ({
    budget: rows(layer),
    length: rows(layer),
    capacity: rows(layer) + 64,
    bytes: layerBytes(layer),
    fullBytes: 131_072,
    heads: Array.from({ length: HEADS }, () => ({
      budget: rows(layer),
      length: rows(layer),
      capacity: rows(layer) + 64,
      bytes: layerBytes(layer) / HEADS,
    })),
    keptMass: [0.9, 0.8],
  }));
  return {
    schema: "ziggurat-trace/1",
    createdAt: "2026-11-24T12:00:00.000Z",
    model: {
      name: "sample",
      numLayers: LAYERS,
      numHeads: 4,
      numKvHeads: HEADS,
      headDim: 32,
      contextLength: 2048,
    },
    adapter: {
      name: "made up",
      isSoftware: true,
      maxBufferSize: 2 ** 30,
      maxStorageBufferBindingSize: 2 ** 27,
    },
    cache: { policy: "pyramidkv", kvDtype: "f16", windowSize: 8, numSinks: 0 },
    end: 200,
    base: [],
    events,
    droppedEvents: 0,
    phases: [
      { name: "load", start: 0, end: 8 },
      ...layers.flatMap((_, layer) => [
        { name: "prefill" as const, layer, start: 10 + 10 * layer, end: 18 + 10 * layer },
        { name: "compress" as const, layer, start: 18 + 10 * layer, end: 20 + 10 * layer },
      ]),
      { name: "decode", start: 60, end: 200 },
    ],
    samples: [
      { at: 10, tokens: TOKENS, fullBytes: 524_416 },
      { at: 60, tokens: TOKENS, fullBytes: 524_416, layers },
      { at: 150, tokens: TOKENS + 5, fullBytes: 524_416 },
    ],
    calls: [
      {
        start: 10,
        end: 200,
        promptTokens: TOKENS,
        cachedTokens: 0,
        completionTokens: 6,
        prefillTokensPerSecond: 1280,
        decodeTokensPerSecond: 42.5,
        timeToFirstTokenMs: 52,
      },
    ],
    kernels: {
      quantumNs: 100_000,
      steps: 5,
      skipped: 0,
      decode: [
        { kernel: "matvec_rows", layer: 0, dispatches: 20, totalMs: 4, p50Ms: 0.8, p95Ms: 0.9 },
        { kernel: "attention_decode", layer: 0, dispatches: 5, totalMs: 1, p50Ms: 0.2, p95Ms: 0.3 },
        { kernel: "sample_draw", dispatches: 5, totalMs: 0.5, p50Ms: 0.1, p95Ms: 0.1 },
      ],
      prefill: [],
      lastStep: [
        { kernel: "matvec_rows", layer: 0, startMs: 0, durationMs: 0.8 },
        { kernel: "attention_decode", layer: 0, startMs: 0.8, durationMs: 0.2 },
        { kernel: "sample_draw", startMs: 1, durationMs: 0.1 },
      ],
    },
    tokens: Array.from({ length: TOKENS }, (_, i) => ({ id: i, text: ` word${i}` })),
    kept,
  };
}
