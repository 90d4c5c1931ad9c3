import type { Roofline } from "../../gpu/roofline.ts";
import type { AdapterSummary, KvDtype, MemoryReport, ModelConfig } from "../../index.ts";
import type { CacheReports } from "./cache-sections.ts";
import type { Span } from "./measure.ts";

/** What `ziggurat bench` writes. */
export interface BenchReport {
  readonly format: 1;
  /** ISO 8601, when it began. */
  readonly date: string;
  readonly machine: Machine;
  readonly adapter: AdapterSummary;
  readonly roofline: Roofline;
  readonly kernelChoices: Readonly<Record<string, string>>;
  readonly model: {
    readonly source: string;
    readonly fileBytes: number;
    readonly config: ModelConfig;
    /** Bytes of weights that every decoded token reads: all but an embedding that isn't the head too. */
    readonly weightBytesPerToken: number;
  };
  readonly kvDtype: KvDtype;
  readonly dispatchesPerToken: number;
  readonly loading: {
    /** From the call until the engine is ready. */
    readonly seconds: number;
    /** Of these, the ones after the last byte was read: kernels that still compiled. */
    readonly compileSeconds: number;
    /** The first answer of all, two tokens long: some drivers compile only now. */
    readonly firstAnswerSeconds: number;
  };
  readonly cases: readonly BenchCase[];
  readonly cache: CacheReports;
  readonly memory: MemoryReport;
}

export interface Machine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Load averages over 1, 5 and 15 minutes when the run began. */
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[];
}

/** One length of prompt. */
export interface BenchCase {
  readonly promptTokenIds: readonly number[];
  /** What the model answered, in every run. */
  readonly tokenIds: readonly number[];
  readonly prefill: Phase;
  readonly decode: Phase;
  /** Bytes allocated for the cache at the end of the answer. */
  readonly kvBytes: number;
  /** Load averages over one minute. */
  readonly loadBefore: number;
  readonly loadAfter: number;
}

/** A phase, measured some times; rates are of the run with the median time. */
export interface Phase {
  readonly runs: readonly Span[];
  readonly tokensPerSecond: number;
  readonly flopsPerSecond: number;
  /** Bytes of weights read per second; in prefill that depends on the tiles, so it isn't said. */
  readonly weightBytesPerSecond?: number;
}
