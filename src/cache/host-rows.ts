import { readLayer } from "./cache-image.ts";
import type { LayerRegion } from "./kv-cache.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import type { RowsGpu } from "./read-back.ts";

/** Rows of policy `full` from one position up to another, which comes after the last. */
export interface RowRange {
  readonly from: number;
  readonly to: number;
}

/** Such rows of all layers in host memory. */
export interface HostRows extends RowRange {
  /** As `readRows` gives them. */
  readonly layers: readonly Uint8Array<ArrayBuffer>[];
}

/**
 * Copy rows of a layer to host memory: keys and then values, `[head][to - from]` rows.
 * @throws GpuOutOfMemoryError, DeviceLostError
 */
export async function readRows(
  gpu: RowsGpu,
  shape: KvShape,
  { capacity, ...buffers }: LayerRegion,
  { from, to }: RowRange,
): Promise<Uint8Array<ArrayBuffer>> {
  const heads = Array.from(
    { length: shape.numKvHeads },
    (_, head) => [head * capacity + from, to - from, capacity] as const,
  );
  return readLayer(gpu, shape, buffers, heads);
}

/** Write rows that `readRows` has read to where they were, those before position `end`. */
export function writeRows(
  { device }: Pick<RowsGpu, "device">,
  shape: KvShape,
  { keys, values, capacity }: LayerRegion,
  { from, to }: RowRange,
  bytes: Uint8Array<ArrayBuffer>,
  end: number = to,
): void {
  const row = kvRowBytes(shape);
  const written = (Math.min(to, end) - from) * row;
  let at = 0;
  for (const buffer of [keys, values]) {
    for (let head = 0; head < shape.numKvHeads; head++) {
      device.queue.writeBuffer(buffer, (head * capacity + from) * row, bytes, at, written);
      at += (to - from) * row;
    }
  }
}
