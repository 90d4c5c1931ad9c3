import type { ByteSource } from "../formats/byte-source.ts";
import { commonLayout, convertPlanes } from "../formats/common-layout.ts";
import type { TensorInfo } from "../formats/tensor-types.ts";
import { planarBytes, type PlanarLayout, tensorLayout } from "../formats/planar.ts";
import { ROW_GROUP } from "../formats/row-groups.ts";
import { type MatrixChunk, streamMatrix } from "../formats/stream.ts";

/** A run of rows that share a layout, and how they are read. */
export interface RowRun {
  readonly layout: PlanarLayout;
  readonly rows: number;
  readonly cols: number;
  /** Whose rows they are, in turn where there are two. */
  readonly tensors: readonly TensorInfo[];
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
    layout: tensorLayout(info),
    rows: info.shape[0] as number,
    cols: info.shape[1] as number,
    tensors: [info],
    chunks: (source, options) => tensorChunks(source, info, options),
  }));
}

/**
 * The rows of two tensors of one shape in turn: first 0, second 0, first 1, …, in a layout that
 * holds both.
 */
export function interleavedRows(first: TensorInfo, second: TensorInfo): RowRun[] {
  const layout = commonLayout(tensorLayout(first), tensorLayout(second));
  const [rows, cols] = first.shape as [number, number];
  return [
    {
      layout,
      rows: 2 * rows,
      cols,
      tensors: [first, second],
      chunks: (source, options) => zipRows(source, [first, second], layout, options),
    },
  ];
}

const rowBytes = ({ bytes, shape }: TensorInfo): number => bytes / (shape[0] as number);

async function* tensorChunks(
  source: ByteSource,
  info: TensorInfo,
  { signal, onBytes }: StreamOptions,
  maxBytes = CHUNK_BYTES,
): AsyncGenerator<MatrixChunk> {
  for await (const chunk of streamMatrix(
    source,
    info,
    { maxBytes, rowMultiple: ROW_GROUP },
    signal,
  )) {
    yield chunk;
    onBytes(chunk.rowCount * rowBytes(info));
  }
}

async function* zipRows(
  source: ByteSource,
  tensors: readonly [TensorInfo, TensorInfo],
  layout: PlanarLayout,
  options: StreamOptions,
): AsyncGenerator<MatrixChunk> {
  // Chunks of both must have the same rows, whatever the bytes of a row.
  const chunkRows = Math.floor(CHUNK_BYTES / Math.max(...tensors.map(rowBytes)));
  const [first, second] = tensors.map((info) =>
    tensorChunks(source, info, options, chunkRows * rowBytes(info)),
  ) as [AsyncGenerator<MatrixChunk>, AsyncGenerator<MatrixChunk>];
  const [own, others] = tensors.map(tensorLayout) as [PlanarLayout, PlanarLayout];
  const cols = tensors[0].shape[1] as number;
  const pair = planarBytes(layout, 2, cols);
  try {
    for await (const chunk of first) {
      const elements = chunk.rowCount * cols;
      const other = (await second.next()).value as MatrixChunk;
      const a = convertPlanes(chunk, own, layout, elements);
      const b = convertPlanes(other, others, layout, elements);
      yield {
        rowStart: 2 * chunk.rowStart,
        rowCount: 2 * chunk.rowCount,
        quants: zip(a.quants, b.quants, chunk.rowCount, pair.quantBytes),
        scales: zip(a.scales, b.scales, chunk.rowCount, pair.scaleBytes),
      };
    }
    await second.next(); // lets the second stream report its last bytes
  } finally {
    await second.return(undefined);
  }
}

/**
 * Rows of `a` and `b` in turn, of `pairBytes` for two; in 16-bit units, since a row may hold an odd
 * number of scales.
 */
function zip(
  a: Uint32Array,
  b: Uint32Array,
  rows: number,
  pairBytes: number,
): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array((rows * pairBytes) / 4);
  const [from, other, to] = [a, b, out].map(
    (words) => new Uint16Array(words.buffer, words.byteOffset, words.length * 2),
  ) as [Uint16Array, Uint16Array, Uint16Array];
  const width = pairBytes / 4;
  for (let row = 0; row < rows; row++) {
    to.set(from.subarray(row * width, (row + 1) * width), 2 * row * width);
    to.set(other.subarray(row * width, (row + 1) * width), (2 * row + 1) * width);
  }
  return out;
}
