import { type Terrace, WIDTH } from "./pyramid-shape.ts";

/** Cache rows of one KV head. */
export interface PyramidHead {
  /** Rows in use. */
  readonly length: number;
  /** Rows allocated. */
  readonly capacity: number;
}

/** Cache rows of a layer, as `engine.memory().kv.layers` has them. */
export interface PyramidLayer {
  /** Rows per KV head that the policy allows. */
  readonly budget: number;
  /** Rows in use, of the longest KV head. */
  readonly length: number;
  /** Rows allocated, of the longest KV head. */
  readonly capacity: number;
  readonly bytes: number;
  /** What a full cache would have allocated. */
  readonly fullBytes: number;
  /** Each KV head on its own. */
  readonly heads?: readonly PyramidHead[];
  /**
   * Rows in use that came after the prompt, per KV head (`generatedRows` of a run). Where that isn't
   * known, rows over the budget are drawn in their place.
   */
  readonly generated?: readonly number[];
  /** Share of the window's attention that the kept rows carry, per KV head. */
  readonly keptMass?: readonly number[];
}

/** What `zig-pyramid` shows. */
export interface PyramidData {
  /** Tokens that a full cache would hold in every layer. */
  readonly tokens: number;
  readonly layers: readonly PyramidLayer[];
  /** The layer in work, not yet compressed. */
  readonly workingLayer?: number;
}

/** Rows of the longest KV head that are drawn as the prompt's. */
function promptRows({ budget, length, heads, generated }: PyramidLayer): number {
  if (generated === undefined) return Math.min(budget, length);
  const longest = heads?.findIndex((head) => head.length === length) ?? 0;
  return Math.max(length - (generated[Math.max(longest, 0)] ?? 0), 0);
}

/** What is drawn of the layers: their terraces, and how wide the block of the full cache is. */
export function terracesOf(
  data: PyramidData | undefined,
  isInBytes: boolean,
  isLog: boolean,
): { readonly shape: readonly Terrace[]; readonly full: number } {
  const layers = data?.layers ?? [];
  const rowBytes = ({ bytes, capacity }: PyramidLayer): number =>
    isInBytes ? (capacity > 0 ? bytes / capacity : 0) : 1;
  const fullOf = (layer: PyramidLayer): number =>
    isInBytes ? layer.fullBytes : (data?.tokens ?? 0);
  const widest = layers.reduce(
    (most, layer) => Math.max(most, fullOf(layer), layer.capacity * rowBytes(layer)),
    1,
  );
  const width = (value: number): number =>
    (WIDTH - 1) * (isLog ? Math.log1p(value) / Math.log1p(widest) : value / widest);
  const shape = layers.map((layer) => {
    const row = rowBytes(layer);
    return {
      room: width(layer.capacity * row),
      added: width(layer.length * row),
      kept: width(promptRows(layer) * row),
      budget: layer.length > 0 ? width(layer.budget * row) : 0,
    };
  });
  return { shape, full: width(Math.max(0, ...layers.map(fullOf))) };
}
