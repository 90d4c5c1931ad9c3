import type { CacheState } from "./cache-state.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import { readBack, type RowsGpu } from "./read-back.ts";
import type { TableEntry } from "./table.ts";

/** Rows of one KV head of one layer: those in use, and those that there is room for. */
export type HeadExtent = readonly [length: number, capacity: number];

/** All that a cache holds, to be written down or taken over. Its rows are read a layer at a time. */
export interface CacheImage {
  readonly state: CacheState;
  /** `[layer][head]` */
  readonly heads: readonly HeadExtent[];
  /** The ring of the window queries, f32; empty where the policy has none. */
  queries(): Promise<Uint8Array<ArrayBuffer>>;
  /** A layer's rows in use: keys of one head after the other, values, and where rows are evicted, positions (u32). */
  layer(layer: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** A layer's buffers; without positions, row j of a head is position j. */
export interface ImageBuffers {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  readonly positions?: GPUBuffer;
}

/** Bytes that `CacheImage.layer` gives for heads of such lengths. */
export function layerImageBytes(
  shape: KvShape,
  hasPositions: boolean,
  heads: readonly HeadExtent[],
): number {
  const rows = heads.reduce((sum, [length]) => sum + length, 0);
  return rows * (2 * kvRowBytes(shape) + (hasPositions ? 4 : 0));
}

/** Where heads lie that stand one after the other. */
export function placeHeads(heads: readonly HeadExtent[]): TableEntry[] {
  let offset = 0;
  return heads.map(([length, capacity]) => {
    offset += capacity;
    return [offset - capacity, length, capacity];
  });
}

/** Read a layer's rows in use. */
export async function readLayer(
  gpu: RowsGpu,
  shape: KvShape,
  buffers: ImageBuffers,
  heads: readonly TableEntry[],
): Promise<Uint8Array<ArrayBuffer>> {
  const ranges = planes(shape, buffers).flatMap(({ buffer, rowBytes }) =>
    heads.map(([offset, length]) => ({
      buffer,
      offset: offset * rowBytes,
      bytes: length * rowBytes,
    })),
  );
  const parts = await readBack(gpu, ranges);
  // They are views of one array, in order.
  return new Uint8Array((parts[0] as Uint8Array<ArrayBuffer>).buffer);
}

/** Write rows that `readLayer` has read. */
export function writeLayer(
  gpu: Pick<RowsGpu, "device">,
  shape: KvShape,
  buffers: ImageBuffers,
  heads: readonly TableEntry[],
  bytes: Uint8Array<ArrayBuffer>,
): void {
  let at = 0;
  for (const { buffer, rowBytes } of planes(shape, buffers)) {
    for (const [offset, length] of heads) {
      gpu.device.queue.writeBuffer(buffer, offset * rowBytes, bytes, at, length * rowBytes);
      at += length * rowBytes;
    }
  }
}

function planes(
  shape: KvShape,
  { keys, values, positions }: ImageBuffers,
): { readonly buffer: GPUBuffer; readonly rowBytes: number }[] {
  const rowBytes = kvRowBytes(shape);
  return [
    { buffer: keys, rowBytes },
    { buffer: values, rowBytes },
    ...(positions === undefined ? [] : [{ buffer: positions, rowBytes: 4 }]),
  ];
}
