import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import { dequantize } from "./blocks.ts";
import type { ByteSource } from "./byte-source.ts";
import type { TensorInfo } from "./tensor-types.ts";
import { COLUMN_MULTIPLE, planarBytes, planarLayout, repackRows } from "./planar.ts";
import { quote } from "./quote.ts";
import { giveScratch, takeScratch } from "./scratch.ts";
import { tensorBytes } from "./tensor-types.ts";

/** Some whole rows of a matrix in its planar layout. */
export interface MatrixChunk {
  /** First row; a multiple of `rowMultiple`, so that its planes begin at `planarBytes(layout, rowStart, cols)`. */
  readonly rowStart: number;
  readonly rowCount: number;
  readonly quants: Uint32Array<ArrayBuffer>;
  /** Empty for f16. */
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** Norms and biases are far shorter; more is no vector of a model. */
const MAX_VECTOR_ELEMENTS = 4 * 1024 * 1024;

/**
 * Reads a `[rows, cols]` matrix in pieces of at most `maxBytes` of the file, repacked to `planarLayout(info.type)`.
 * Each chunk but the last has a multiple of `rowMultiple` rows, which is even, so that no word of scales is shared by
 * two. A chunk's arrays are used again for the next one, and for the source's next matrix: copy or upload them before
 * asking for it.
 *
 * @throws UnsupportedModelError for shapes that no kernel takes, ModelFormatError where scales or values are not
 *   finite in f16, SourceError where reading fails.
 */
export async function* streamMatrix(
  source: ByteSource,
  info: TensorInfo,
  {
    maxBytes = 4 * 1024 * 1024,
    rowMultiple = 2,
  }: { readonly maxBytes?: number; readonly rowMultiple?: number } = {},
  signal?: AbortSignal,
): AsyncGenerator<MatrixChunk, void, undefined> {
  const [rows, cols] = matrixShape(source.name, info);
  const layout = planarLayout(info.type);
  const rowBytes = tensorBytes(info.type, cols);
  const chunkRows = Math.min(Math.floor(maxBytes / rowBytes / rowMultiple) * rowMultiple, rows);
  if (chunkRows === 0) {
    throw new UnsupportedModelError(`${source.name}: ${cols} columns of ${quote(info.name)}`, [
      `rows of up to ${Math.floor(maxBytes / rowMultiple)} bytes`,
    ]);
  }
  const largest = planarBytes(layout, chunkRows, cols);
  const planeBytes = largest.quantBytes + largest.scaleBytes;
  const scratch = takeScratch(source, planeBytes + chunkRows * rowBytes);
  try {
    const quants = new Uint32Array(scratch, 0, largest.quantBytes / 4);
    const scales = new Uint32Array(scratch, largest.quantBytes, largest.scaleBytes / 4);
    const into = new Uint8Array(scratch, planeBytes);
    for (let rowStart = 0; rowStart < rows; rowStart += chunkRows) {
      const rowCount = Math.min(chunkRows, rows - rowStart);
      const offset = info.offset + rowStart * rowBytes;
      const bytes = await source.read(offset, rowCount * rowBytes, signal, into);
      const nonFinite = repackRows(info.type, bytes, rowCount, cols, { quants, scales });
      if (nonFinite > 0) throw nonFiniteError(source.name, info, nonFinite);
      const size = planarBytes(layout, rowCount, cols);
      yield {
        rowStart,
        rowCount,
        quants: quants.subarray(0, size.quantBytes / 4),
        scales: scales.subarray(0, size.scaleBytes / 4),
      };
    }
  } finally {
    giveScratch(source, scratch);
  }
}

/**
 * Reads a tensor of one dimension as singles.
 *
 * @throws ModelFormatError where it has another shape or values that are not finite, SourceError.
 */
export async function readVector(
  source: ByteSource,
  info: TensorInfo,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const [length = 0] = info.shape;
  if (info.shape.length !== 1 || length > MAX_VECTOR_ELEMENTS) {
    throw new ModelFormatError(
      source.name,
      `shape of tensor ${quote(info.name)}`,
      `one dimension of at most ${MAX_VECTOR_ELEMENTS}`,
      info.shape.join(" x "),
    );
  }
  const bytes = await source.read(info.offset, info.bytes, signal);
  const values = dequantize(info.type, bytes, length);
  let nonFinite = 0;
  for (const value of values) if (!Number.isFinite(value)) nonFinite++;
  if (nonFinite > 0) {
    const field = `tensor ${quote(info.name)}`;
    throw new ModelFormatError(source.name, field, "finite numbers", `${nonFinite} that are not`);
  }
  return values;
}

function matrixShape(file: string, info: TensorInfo): [rows: number, cols: number] {
  const [rows = 0, cols = 0] = info.shape;
  if (info.shape.length === 2 && cols % COLUMN_MULTIPLE === 0) return [rows, cols];
  const shape = `[${info.shape.join(", ")}]`;
  throw new UnsupportedModelError(`${file}: shape ${shape} of tensor ${quote(info.name)}`, [
    `matrices [rows, columns], columns a multiple of ${COLUMN_MULTIPLE}`,
  ]);
}

function nonFiniteError(file: string, info: TensorInfo, count: number): ModelFormatError {
  const field = `${info.type} tensor ${quote(info.name)}`;
  const { kind } = planarLayout(info.type);
  const what = kind === "f16" ? "values" : "scales";
  return new ModelFormatError(
    file,
    field,
    `made of ${what} within the range of f16 (65504)`,
    `${count} ${what} beyond it, infinite or not a number`,
  );
}
