import { readLayer } from "./cache-image.ts";
import type { LayerRegion } from "./kv-cache.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import type { RowsGpu } from "./read-back.ts";

/** Most bytes that a cache keeps of rows that it dropped: to go back beyond that, they are read again. */
export const MAX_DROPPED_BYTES: number = 256 * 2 ** 20;

/** Rows of policy `full` that lie in host memory: all heads of all layers, from one position up to another. */
export interface DroppedRows {
  readonly from: number;
  /** The position after the last. */
  readonly to: number;
  /** Per layer, keys and then values: `[head][to - from]` rows. */
  readonly layers: readonly Uint8Array<ArrayBuffer>[];
  readonly bytes: number;
}

/** Bytes of so many positions, all layers and heads. */
export function droppedBytes(shape: KvShape, positions: number): number {
  return 2 * shape.numLayers * shape.numKvHeads * positions * kvRowBytes(shape);
}

/** Copy rows to host memory, a layer at a time. @throws GpuOutOfMemoryError, DeviceLostError */
export async function takeRows(
  gpu: RowsGpu,
  shape: KvShape,
  region: (layer: number) => LayerRegion,
  from: number,
  to: number,
): Promise<DroppedRows> {
  const layers: Uint8Array<ArrayBuffer>[] = [];
  for (let layer = 0; layer < shape.numLayers; layer++) {
    const { capacity, ...buffers } = region(layer);
    const heads = Array.from(
      { length: shape.numKvHeads },
      (_, head) => [head * capacity + from, to - from, capacity] as const,
    );
    layers.push(await readLayer(gpu, shape, buffers, heads));
  }
  return { from, to, layers, bytes: droppedBytes(shape, to - from) };
}

/** Write rows back to where they were, those before position `end`. */
export function putRows(
  { device }: Pick<RowsGpu, "device">,
  shape: KvShape,
  region: (layer: number) => LayerRegion,
  { from, to, layers }: DroppedRows,
  end: number,
): void {
  const row = kvRowBytes(shape);
  const bytes = (Math.min(to, end) - from) * row;
  for (const [layer, data] of layers.entries()) {
    const { keys, values, capacity } = region(layer);
    let at = 0;
    for (const buffer of [keys, values]) {
      for (let head = 0; head < shape.numKvHeads; head++) {
        device.queue.writeBuffer(buffer, (head * capacity + from) * row, data, at, bytes);
        at += (to - from) * row;
      }
    }
  }
}
