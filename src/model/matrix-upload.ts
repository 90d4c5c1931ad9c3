import type { ByteSource } from "../formats/byte-source.ts";
import { sameLayout } from "../formats/common-layout.ts";
import { planarBytes, type PlanarLayout } from "../formats/planar.ts";
import type { MatrixChunk } from "../formats/stream.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Matrix, MatrixSlice } from "./linear.ts";
import type { RowRun } from "./row-runs.ts";
import type { WeightLoadOptions } from "./weights.ts";

/** Bytes handed to the queue before waiting for the GPU, which bounds the driver's own staging. */
const BYTES_IN_FLIGHT = 32 * 1024 * 1024;

/** Makes weight buffers and fills them from a source. */
export class MatrixUploader {
  readonly #gpu: GpuContext;
  readonly #source: ByteSource;
  readonly #options: WeightLoadOptions;
  #readBytes = 0;
  #inFlight = 0;

  constructor(gpu: GpuContext, source: ByteSource, options: WeightLoadOptions) {
    this.#gpu = gpu;
    this.#source = source;
    this.#options = options;
  }

  /** Note that `bytes` of tensor data were read. */
  count(bytes: number): void {
    this.#readBytes += bytes;
    this.#options.onBytes?.(this.#readBytes);
  }

  /** A vector of f32. */
  vector(label: string, values: ArrayLike<number>): GPUBuffer {
    const buffer = this.#buffer(label, values.length * 4);
    this.#gpu.device.queue.writeBuffer(buffer, 0, Float32Array.from(values));
    return buffer;
  }

  /** A matrix of runs of rows; neighbours of one layout share a buffer, up to the binding limit. */
  async matrix(label: string, runs: readonly RowRun[]): Promise<Matrix> {
    const slices: MatrixSlice[] = [];
    let rows = 0;
    for (const group of groupByLayout(runs)) {
      slices.push(...(await this.#group(label, group, rows)));
      rows += group.reduce((sum, run) => sum + run.rows, 0);
    }
    return { rows, cols: (runs[0] as RowRun).cols, slices };
  }

  async #group(label: string, runs: readonly RowRun[], firstRow: number): Promise<MatrixSlice[]> {
    const { layout, cols } = runs[0] as RowRun;
    const rows = runs.reduce((sum, run) => sum + run.rows, 0);
    const slices = this.#allocate(label, layout, rows, cols, firstRow);
    const onBytes = (bytes: number): void => this.count(bytes);
    let base = firstRow;
    for (const run of runs) {
      for await (const chunk of run.chunks(this.#source, { ...this.#options, onBytes })) {
        this.#options.signal?.throwIfAborted();
        this.#write(slices, { ...chunk, rowStart: base + chunk.rowStart }, layout, cols);
        this.#inFlight += chunk.quants.byteLength + chunk.scales.byteLength;
        if (this.#inFlight > BYTES_IN_FLIGHT) {
          await this.#gpu.idle();
          this.#inFlight = 0;
        }
      }
      base += run.rows;
    }
    return slices;
  }

  #allocate(
    label: string,
    layout: PlanarLayout,
    rows: number,
    cols: number,
    firstRow: number,
  ): MatrixSlice[] {
    const limit = this.#gpu.limits.maxStorageBufferBindingSize;
    const perRow = planarBytes(layout, 2, cols).quantBytes / 2;
    const most = Math.floor(limit / perRow / 2) * 2; // even: a pair of rows is never parted
    const slices: MatrixSlice[] = [];
    for (let start = 0; start < rows; start += most) {
      const count = Math.min(most, rows - start);
      const { quantBytes, scaleBytes } = planarBytes(layout, count, cols);
      const part = rows > most ? ` (rows from ${firstRow + start})` : "";
      const quants = this.#buffer(`${label}${part}`, quantBytes);
      // f16 has no scales: its own values stand in, so that every slice binds the same way.
      const scales = scaleBytes > 0 ? this.#buffer(`${label} scales${part}`, scaleBytes) : quants;
      slices.push({ layout, rowStart: firstRow + start, rows: count, quants, scales });
    }
    return slices;
  }

  #write(
    slices: readonly MatrixSlice[],
    chunk: MatrixChunk,
    layout: PlanarLayout,
    cols: number,
  ): void {
    const pair = planarBytes(layout, 2, cols);
    for (const slice of slices) {
      const from = Math.max(slice.rowStart, chunk.rowStart);
      const to = Math.min(slice.rowStart + slice.rows, chunk.rowStart + chunk.rowCount);
      if (from >= to) continue;
      const write = (
        buffer: GPUBuffer,
        data: Uint32Array<ArrayBuffer>,
        pairBytes: number,
      ): void => {
        const start = ((from - chunk.rowStart) * pairBytes) / 8;
        const end = Math.ceil(((to - chunk.rowStart) * pairBytes) / 8);
        const offset = ((from - slice.rowStart) * pairBytes) / 2;
        this.#gpu.device.queue.writeBuffer(buffer, offset, data, start, end - start);
      };
      write(slice.quants, chunk.quants, pair.quantBytes);
      if (pair.scaleBytes > 0) write(slice.scales, chunk.scales, pair.scaleBytes);
    }
  }

  #buffer(label: string, bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    return this.#gpu.buffers.create({ label, purpose: "weights", bytes, usage });
  }
}

function groupByLayout(runs: readonly RowRun[]): RowRun[][] {
  const groups: RowRun[][] = [];
  for (const run of runs) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && sameLayout(last[0].layout, run.layout)) last.push(run);
    else groups.push([run]);
  }
  return groups;
}
