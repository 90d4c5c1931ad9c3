import { readBack } from "../cache/read-back.ts";
import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { quote } from "../formats/quote.ts";
import { tensorBytes, type TensorInfo } from "../formats/tensor-types.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { Recorder } from "../gpu/recorder.ts";
import type { MatrixSlice } from "./linear.ts";
import { QUANTIZE_CHUNK_BYTES } from "./quantize-plan.ts";

const BLOCK = 32;
const BLOCKS_PER_WORKGROUP = 64;
/** Smallest block in a file: 32 halves. */
const MOST_WORKGROUPS = Math.ceil(QUANTIZE_CHUNK_BYTES / 2 / BLOCK / BLOCKS_PER_WORKGROUP);
const SUM_BYTES = 16;

const SOURCES: Readonly<Record<string, number>> = { F32: 0, F16: 1, BF16: 2 };

/** Where a tensor's rows go: row r becomes row `firstRow + r * rowStep` of the matrix. */
export interface QuantizeTarget {
  readonly slices: readonly MatrixSlice[];
  readonly firstRow: number;
  readonly rowStep: number;
}

/** Quantises rows of floats on the GPU while they stream in. */
export class Quantizer {
  readonly #gpu: GpuContext;
  readonly #recorder: Recorder;
  readonly #chunk: GPUBuffer;
  readonly #sums: GPUBuffer;

  /** `chunkBytes` of the file are quantised at a time: at least a row, at most `QUANTIZE_CHUNK_BYTES`. */
  constructor(gpu: GpuContext, chunkBytes: number) {
    this.#gpu = gpu;
    this.#recorder = new Recorder(gpu.device, gpu.buffers, 64, "quantising");
    const create = (label: string, bytes: number): GPUBuffer =>
      gpu.buffers.create({
        label,
        purpose: "staging",
        bytes,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
      });
    this.#chunk = create("rows to quantise", chunkBytes);
    this.#sums = create("errors of quantising", MOST_WORKGROUPS * SUM_BYTES);
  }

  /**
   * Read a float matrix and write its rows, quantised, into `slices` (q4 or q8 without minimum), whose scales must be
   * zero before.
   * @throws SourceError; the signal's reason when aborted.
   */
  async quantize(
    source: ByteSource,
    info: TensorInfo,
    target: QuantizeTarget,
    options: {
      readonly signal?: AbortSignal | undefined;
      /** Called with each chunk when it is done with. */
      readonly onChunk: (chunk: Uint8Array) => void;
    },
  ): Promise<void> {
    const [rows, cols] = info.shape as [number, number];
    const rowBytes = tensorBytes(info.type, cols);
    const chunkRows = Math.floor(this.#chunk.size / rowBytes);
    const { kind } = (target.slices[0] as MatrixSlice).layout;
    const kernel = await this.#gpu.kernels.get({
      name: "quantize_rows",
      constants: { BITS: kind === "q4" ? 4 : 8, SOURCE: SOURCES[info.type] as number },
    });
    for (let start = 0; start < rows; start += chunkRows) {
      const count = Math.min(chunkRows, rows - start);
      const offset = info.offset + start * rowBytes;
      const bytes = await source.read(offset, count * rowBytes, options.signal);
      options.signal?.throwIfAborted();
      this.#gpu.device.queue.writeBuffer(this.#chunk, 0, bytes as Uint8Array<ArrayBuffer>);
      this.#record(kernel, target, start, count, cols);
      // One chunk buffer: the next rows may come when these are done with.
      await this.#gpu.idle();
      options.onChunk(bytes);
    }
  }

  /** The rows of one chunk, which may lie in several slices. */
  #record(
    kernel: Kernel,
    target: QuantizeTarget,
    start: number,
    count: number,
    cols: number,
  ): void {
    const { slices, firstRow, rowStep } = target;
    const blocks = cols / BLOCK;
    for (const { rowStart, rows, quants, scales } of slices) {
      // Rows r of the tensor with rowStart <= firstRow + r * rowStep < rowStart + rows.
      const from = Math.max(start, Math.ceil((rowStart - firstRow) / rowStep));
      const to = Math.min(start + count, Math.ceil((rowStart + rows - firstRow) / rowStep));
      if (from >= to) continue;
      // The chunk is bound from its start: rows before `from` are those of another slice.
      this.#recorder.run(
        kernel,
        { source: this.#chunk, quants, scales, sums: this.#sums },
        {
          skipped_rows: from - start,
          rows: to - from,
          blocks,
          first_row: firstRow + from * rowStep - rowStart,
          row_step: rowStep,
        },
        [Math.ceil(((to - from) * blocks) / BLOCKS_PER_WORKGROUP), 1, 1],
      );
    }
    this.#recorder.submit();
  }

  /**
   * What rounding has cost since the last call: root mean square of the error, relative to that of the weights.
   * @throws ModelFormatError where weights or their scales are beyond f16, infinite or not a number.
   */
  async takeError(file: string, label: string): Promise<number> {
    const [bytes] = await readBack(this.#gpu, [{ buffer: this.#sums, bytes: this.#sums.size }]);
    const sums = new Float32Array((bytes as Uint8Array<ArrayBuffer>).slice().buffer);
    this.#gpu.device.queue.writeBuffer(this.#sums, 0, new Uint8Array(this.#sums.size));
    let [error, squares, wrong] = [0, 0, 0];
    for (let i = 0; i < sums.length; i += 4) {
      error += sums[i] as number;
      squares += sums[i + 1] as number;
      wrong += sums[i + 2] as number;
    }
    if (wrong > 0) {
      const expected = "made of numbers within the range of f16 (65504)";
      throw new ModelFormatError(file, `tensor ${quote(label)}`, expected, `${wrong} beyond it`);
    }
    return squares === 0 ? 0 : Math.sqrt(error / squares);
  }

  destroy(): void {
    this.#recorder.destroy();
    this.#gpu.buffers.destroy(this.#chunk);
    this.#gpu.buffers.destroy(this.#sums);
  }
}
