import type { BufferPurpose } from "../gpu/buffers.ts";

/** Cache rows and bytes of one KV head. */
export interface HeadMemory {
  /** Rows that the policy allows it, window included. */
  readonly budget: number;
  /** Rows in use. */
  readonly length: number;
  /** Rows allocated. */
  readonly capacity: number;
  readonly bytes: number;
}

/** Cache rows and bytes of one layer. */
export interface LayerMemory {
  /** Rows per KV head that the policy allows, window included. */
  readonly budget: number;
  /** Rows in use, of the longest KV head. */
  readonly length: number;
  /** Rows allocated, of the longest KV head. */
  readonly capacity: number;
  /** Bytes allocated: rows, and its share of what all layers have together (table, query ring). */
  readonly bytes: number;
  /** What policy `full` would have allocated, same dtype and share. */
  readonly fullBytes: number;
  /** Each KV head on its own: they differ where a policy shares rows out by need (`ada-kv`). */
  readonly heads: readonly HeadMemory[];
  /**
   * Measured share of the window's attention that the kept rows carry, per KV head; empty where the
   * policy ranks without attention.
   */
  readonly keptMass: readonly number[];
}

/**
 * GPU bytes by purpose: a view of the one ledger (design section 6 says what counts as kv). Peaks are those since
 * the model was loaded and tested, or since `setCache`.
 */
export interface MemoryReport {
  readonly weights: number;
  readonly kv: {
    /** Tokens seen so far, without a prompt that is being read. */
    readonly tokens: number;
    readonly allocated: number;
    /** What policy `full` would have allocated by now, same dtype: a prompt in work counts whole. */
    readonly full: number;
    readonly saved: number;
    readonly peak: number;
    /** Between calls their bytes add up to `allocated`, and their `fullBytes` to `full`. */
    readonly layers: readonly LayerMemory[];
  };
  readonly activations: number;
  readonly staging: number;
  readonly uniforms: number;
  readonly total: number;
  readonly peak: number;
  /** Bytes of host memory that hold rows to return to (regenerate, edit, abort). */
  readonly hostBytes: number;
  /** Most bytes of each purpose at one time, each on its own. */
  readonly peaks: Readonly<Record<BufferPurpose, number>>;
}

/** The GPU that the engine runs on. */
export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  /** 0 where the browser does not say. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
}
