import type { TokenScores } from "../cache/kept-scores.ts";
import type { KvDtype } from "../cache/layout.ts";
import type { BufferPurpose } from "../gpu/buffers.ts";

/** Version of the exported form; a file of another one is refused. */
export const TRACE_SCHEMA = "ziggurat-trace/1";

/** A GPU buffer as the ledger has it. */
export interface TraceBuffer {
  readonly id: number;
  readonly label: string;
  readonly purpose: BufferPurpose;
  /** Allocated bytes. */
  readonly bytes: number;
  /** WebGPU usage flags. */
  readonly usage: number;
  readonly layer?: number;
  /** When it was made, in ms since the trace began. */
  readonly at: number;
}

/** A change of the ledger: a buffer that was made, or the number of one that was freed. */
export type TraceEvent =
  | { readonly type: "alloc"; readonly buffer: TraceBuffer }
  | { readonly type: "free"; readonly id: number; readonly at: number };

/** What the engine did. Times are the host's, which submits up to three chunks ahead of the GPU. */
export type PhaseName = "load" | "prefill" | "compress" | "decode";

/** A stretch of the engine's work. */
export interface TracePhase {
  readonly name: PhaseName;
  readonly layer?: number;
  readonly start: number;
  readonly end: number;
}

/** Rows and bytes of one KV head at one moment. */
export interface TraceHead {
  readonly budget: number;
  readonly length: number;
  readonly capacity: number;
  readonly bytes: number;
}

/** Rows and bytes of one layer at one moment. */
export interface TraceLayer extends TraceHead {
  readonly fullBytes: number;
  readonly heads?: readonly TraceHead[];
  readonly keptMass: readonly number[];
}

/** The cache at one moment. `layers` is left out where only tokens were appended since. */
export interface CacheSample {
  readonly at: number;
  /** Tokens that a full cache would hold. */
  readonly tokens: number;
  /** Bytes that policy `full` would have allocated. */
  readonly fullBytes: number;
  readonly layers?: readonly TraceLayer[];
}

/** GPU time of one kernel in one layer. */
export interface KernelTime {
  readonly kernel: string;
  /** Left out for what belongs to no layer. */
  readonly layer?: number;
  readonly dispatches: number;
  readonly totalMs: number;
  /** Median and 95th percentile of its time in one decode step, or in one submit of a prefill. */
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** GPU times by timestamp queries. */
export interface KernelTimes {
  /** Why there are none, in words. */
  readonly unavailable?: string;
  /** Least difference between two timestamps that was seen, in ns: finer times mean nothing. */
  readonly quantumNs: number;
  /** Decode steps that were timed: one of each submit. */
  readonly steps: number;
  /** Submits that were not timed, because earlier times were still being read. */
  readonly skipped: number;
  readonly decode: readonly KernelTime[];
  readonly prefill: readonly KernelTime[];
  /** The last decode step that was timed, dispatch by dispatch. */
  readonly lastStep: readonly {
    readonly kernel: string;
    readonly layer?: number;
    readonly startMs: number;
    readonly durationMs: number;
  }[];
}

/** One call of `generate`. */
export interface TraceCall {
  readonly start: number;
  readonly end: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
}

/** A token that the cache has seen. */
export interface TraceToken {
  readonly id: number;
  readonly text: string;
}

/** How a token ranked when the cache was last compressed, `[layer][KV head]`: see `TokenScore`. */
export interface TraceScores {
  readonly position: number;
  readonly heads: TokenScores;
}

/** Everything about a run that the memory page shows: plain data, times in ms since it began. */
export interface RunTrace {
  readonly schema: typeof TRACE_SCHEMA;
  /** ISO date and time. */
  readonly createdAt: string;
  readonly model: {
    readonly name: string;
    readonly numLayers: number;
    readonly numHeads: number;
    readonly numKvHeads: number;
    readonly headDim: number;
    readonly contextLength: number;
  };
  readonly adapter: {
    readonly name: string;
    readonly isSoftware: boolean;
    readonly maxBufferSize: number;
    readonly maxStorageBufferBindingSize: number;
  };
  readonly cache: {
    readonly policy: string;
    readonly kvDtype: KvDtype;
    readonly windowSize: number;
    readonly numSinks: number;
  };
  /** When the trace was taken. */
  readonly end: number;
  /** Buffers that were live before the first of `events`. */
  readonly base: readonly TraceBuffer[];
  readonly events: readonly TraceEvent[];
  /** Events older than those, which the ring has let go; their effect is in `base`. */
  readonly droppedEvents: number;
  readonly phases: readonly TracePhase[];
  readonly samples: readonly CacheSample[];
  readonly calls: readonly TraceCall[];
  readonly kernels: KernelTimes;
  /** Tokens seen, in order, and the positions kept, `[layer][KV head]`: not while a call runs. */
  readonly tokens?: readonly TraceToken[];
  readonly kept?: readonly (readonly (readonly number[])[])[];
  /** Of the tokens that somebody asked for. */
  readonly scores?: readonly TraceScores[];
}

/** Categories of bytes in the one order in which every chart stacks them. */
export const CATEGORIES = [
  "weights",
  "keys",
  "values",
  "index",
  "activations",
  "staging",
  "uniforms",
] as const;

/** What bytes of the GPU hold, as the charts part them. */
export type Category = (typeof CATEGORIES)[number];

/** What the categories are called on pages. */
export const CATEGORY_NAMES: Readonly<Record<Category, string>> = {
  weights: "Weights",
  keys: "Keys",
  values: "Values",
  index: "Positions, scores, tables",
  activations: "Activations",
  staging: "Staging",
  uniforms: "Uniforms",
};

/** The category of a buffer: its purpose, with the cache's split by what the label says. */
export function categoryOf({ purpose, label }: Pick<TraceBuffer, "purpose" | "label">): Category {
  if (purpose !== "kv") return purpose;
  if (label.endsWith("keys")) return "keys";
  return label.endsWith("values") ? "values" : "index";
}
