import { UnsupportedModelError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { TensorInfo } from "../formats/gguf-tensors.ts";
import { planarLayout, type PlanarLayout } from "../formats/planar.ts";
import { type MatrixChunk, streamMatrix } from "../formats/stream.ts";

/** A run of rows that share a layout, and how they are read. */
export interface RowRun {
  readonly layout: PlanarLayout;
  readonly rows: number;
  readonly cols: number;
  chunks(source: ByteSource, options: StreamOptions): AsyncIterable<MatrixChunk>;
}

/** What reading a run needs beside the source. */
export interface StreamOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes: (bytes: number) => void;
}

/** Bytes of file data repacked at a time. */
const CHUNK_BYTES = 2 * 1024 * 1024;

/** The rows of several tensors, one below the other; one run for each tensor. */
export function stackedRows(tensors: readonly TensorInfo[]): RowRun[] {
  return tensors.map((info) => ({
    layout: planarLayout(info.type),
    rows: info.shape[0] as number,
    cols: info.shape[1] as number,
    chunks: (source, options) => tensorChunks(source, info, options),
  }));
}

/**
 * The rows of two tensors of one shape in turn: first 0, second 0, first 1, …
 * @throws UnsupportedModelError when their layouts differ.
 */
export function interleavedRows(first: TensorInfo, second: TensorInfo): RowRun[] {
  const layout = planarLayout(first.type);
  if (!sameLayout(layout, planarLayout(second.type))) {
    const what = `"${first.name}" as ${first.type} beside "${second.name}" as ${second.type}`;
    throw new UnsupportedModelError(what, ["gate and up projections of one type"]);
  }
  const [rows, cols] = first.shape as [number, number];
  return [
    {
      layout,
      rows: 2 * rows,
      cols,
      chunks: (source, options) =>
        zipRows(tensorChunks(source, first, options), tensorChunks(source, second, options)),
    },
  ];
}

async function* tensorChunks(
  source: ByteSource,
  info: TensorInfo,
  { signal, onBytes }: StreamOptions,
): AsyncGenerator<MatrixChunk> {
  const rowBytes = info.bytes / (info.shape[0] as number);
  for await (const chunk of streamMatrix(source, info, { maxBytes: CHUNK_BYTES }, signal)) {
    yield chunk;
    onBytes(chunk.rowCount * rowBytes);
  }
}

async function* zipRows(
  first: AsyncIterable<MatrixChunk>,
  second: AsyncIterable<MatrixChunk>,
): AsyncGenerator<MatrixChunk> {
  const others = second[Symbol.asyncIterator]();
  for await (const a of first) {
    const b = (await others.next()).value as MatrixChunk;
    yield {
      rowStart: 2 * a.rowStart,
      rowCount: 2 * a.rowCount,
      quants: zip(a.quants, b.quants, a.rowCount),
      scales: zip(a.scales, b.scales, a.rowCount),
    };
  }
  await others.next(); // lets the second stream report its last bytes
}

/** Rows of `a` and `b` in turn; in 16-bit units, since a row may hold an odd number of scales. */
function zip(a: Uint32Array, b: Uint32Array, rows: number): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(a.length + b.length);
  const [from, other, to] = [a, b, out].map(
    (words) => new Uint16Array(words.buffer, words.byteOffset, words.length * 2),
  ) as [Uint16Array, Uint16Array, Uint16Array];
  const width = Math.floor(from.length / rows);
  for (let row = 0; row < rows; row++) {
    to.set(from.subarray(row * width, (row + 1) * width), 2 * row * width);
    to.set(other.subarray(row * width, (row + 1) * width), (2 * row + 1) * width);
  }
  return out;
}

/** Whether the same kernel reads both. */
export function sameLayout(a: PlanarLayout, b: PlanarLayout): boolean {
  return a.kind === b.kind && a.blockSize === b.blockSize && a.hasMin === b.hasMin;
}
