import type { LayerMemory } from "../src/index.ts";

/** What some layers have allocated, and what a full cache has in as many. */
export interface LayersRead {
  readonly count: number;
  readonly bytes: number;
  readonly fullBytes: number;
}

/**
 * The layers under `working`, which have taken in the prompt that is being read. Only they can be
 * compared: the others have no room yet, though a full cache of the whole prompt counts them.
 */
export function layersRead(
  layers: readonly Pick<LayerMemory, "bytes" | "fullBytes">[],
  working: number,
): LayersRead {
  const read = layers.slice(0, working);
  const sum = (of: "bytes" | "fullBytes"): number => read.reduce((all, l) => all + l[of], 0);
  return { count: read.length, bytes: sum("bytes"), fullBytes: sum("fullBytes") };
}

/** The layer that the prompt is being read in, of so many; undefined where none is. */
export function workingLayer(
  { readTokens = 0, totalTokens = 0 }: { readTokens?: number; totalTokens?: number },
  numLayers: number,
): number | undefined {
  if (totalTokens === 0 || readTokens >= totalTokens) return undefined;
  // Progress is a share of all layers: a layer that ended is whole, but for its rounding.
  return Math.floor((readTokens / totalTokens) * numLayers + 1e-6);
}
