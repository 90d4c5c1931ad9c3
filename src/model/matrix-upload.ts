import type { ByteSource } from "../formats/byte-source.ts";
import { type OwnPlanes, sameLayout } from "../formats/common-layout.ts";
import type { PlanarLayout } from "../formats/planar.ts";
import { groupedBytes, groupRows, ROW_GROUP } from "../formats/row-groups.ts";
import type { MatrixChunk } from "../formats/stream.ts";
import type { TensorFile } from "../formats/tensor-types.ts";
import type { GpuContext } from "../gpu/device.ts";
import { Fingerprint } from "./fingerprint.ts";
import { onDemand } from "../on-demand.ts";
import type { Matrix, MatrixSlice } from "./linear.ts";
import { quantizingBytes } from "./quantize-plan.ts";
import type { Quantizer } from "./quantizer.ts";
import type { RowRun } from "./row-runs.ts";
import type { WeightLoadOptions } from "./weights.ts";

/** Bytes handed to the queue before waiting for the GPU, which bounds the driver's own staging. */
const BYTES_IN_FLIGHT = 32 * 1024 * 1024;

/** What loading made of a matrix. */
export interface MatrixReport {
  readonly name: string;
  /** As stored in the file. */
  readonly types: readonly string[];
  /** On the GPU. */
  readonly layouts: readonly ("q4" | "q8" | "f16")[];
  /** Whether values, or scales, were rounded. */
  readonly isRounded: boolean;
  /** Where floats were quantised on load: root mean square of the error, relative to that of the weights. */
  readonly relativeError?: number;
}

/** Makes weight buffers and fills them from a source. */
export class MatrixUploader {
  /** Of all that was uploaded so far, in order. */
  readonly fingerprint: Fingerprint = new Fingerprint();
  readonly #gpu: GpuContext;
  readonly #source: ByteSource;
  readonly #file: TensorFile;
  readonly #options: WeightLoadOptions;
  #readBytes = 0;
  #inFlight = 0;
  #scratch = new ArrayBuffer(0);
  #quantizer: Quantizer | undefined;
  readonly #reports: MatrixReport[] = [];

  constructor(gpu: GpuContext, source: ByteSource, file: TensorFile, options: WeightLoadOptions) {
    this.#gpu = gpu;
    this.#source = source;
    this.#file = file;
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
    const data = Float32Array.from(values);
    this.fingerprint.add(new Uint32Array(data.buffer));
    this.#gpu.device.queue.writeBuffer(buffer, 0, data);
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
    await this.#report(label, runs);
    return { rows, cols: (runs[0] as RowRun).cols, slices };
  }

  /** What became of the matrices so far. */
  get reports(): readonly MatrixReport[] {
    return this.#reports;
  }

  async #report(label: string, runs: readonly RowRun[]): Promise<void> {
    const tensors = runs.flatMap((run) => run.tensors);
    const types = [...new Set(tensors.map(({ type }) => type))];
    const layouts = [...new Set(runs.map(({ layout }) => layout.kind))];
    const isRounded = runs.some(({ layout }) => layout.lossy);
    const isQuantized = tensors.some(({ quantize }) => quantize !== undefined);
    const error = isQuantized
      ? await this.#quantizer?.takeError(this.#source.name, label)
      : undefined;
    this.#reports.push({
      name: label,
      types,
      layouts,
      isRounded,
      ...(error !== undefined && { relativeError: error }),
    });
  }

  async #quantize(run: RowRun, slices: readonly MatrixSlice[], base: number): Promise<void> {
    const part = await onDemand("quantising weights", () => import("./quantizer.ts"));
    this.#quantizer ??= new part.Quantizer(this.#gpu, quantizingBytes(this.#file));
    const { signal } = this.#options;
    const onChunk = (chunk: Uint8Array): void => {
      this.fingerprint.add(chunk);
      this.count(chunk.length);
    };
    for (const [index, info] of run.tensors.entries()) {
      const target = { slices, firstRow: base + index, rowStep: run.tensors.length };
      await this.#quantizer.quantize(this.#source, info, target, { signal, onChunk });
    }
  }

  /** Free what only loading needs. */
  destroy(): void {
    this.#quantizer?.destroy();
    this.#quantizer = undefined;
  }

  async #group(label: string, runs: readonly RowRun[], firstRow: number): Promise<MatrixSlice[]> {
    const { layout, cols } = runs[0] as RowRun;
    const rows = runs.reduce((sum, run) => sum + run.rows, 0);
    const slices = this.#allocate(label, layout, rows, cols, firstRow);
    const onBytes = (bytes: number): void => this.count(bytes);
    this.fingerprint.addText(JSON.stringify(layout));
    let base = firstRow;
    for (const run of runs) {
      if (run.tensors.every(({ quantize }) => quantize !== undefined)) {
        await this.#quantize(run, slices, base);
        base += run.rows;
        continue;
      }
      for await (const chunk of run.chunks(this.#source, { ...this.#options, onBytes })) {
        this.#options.signal?.throwIfAborted();
        this.fingerprint.add(chunk.quants);
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
    const group = groupedBytes(layout, ROW_GROUP, cols);
    const most = Math.floor(limit / group.quantBytes) * ROW_GROUP;
    const slices: MatrixSlice[] = [];
    for (let start = 0; start < rows; start += most) {
      const count = Math.min(most, rows - start);
      const { quantBytes, scaleBytes } = groupedBytes(layout, count, cols);
      const part = rows > most ? ` (rows from ${firstRow + start})` : "";
      const quants = this.#buffer(`${label}${part}`, quantBytes);
      // f16 has no scales: its own values stand in, so that every slice binds the same way.
      const scales = scaleBytes > 0 ? this.#buffer(`${label} scales${part}`, scaleBytes) : quants;
      slices.push({ layout, rowStart: firstRow + start, rows: count, quants, scales });
    }
    return slices;
  }

  /** Put a chunk's rows, which begin at a group of their slice, where they belong. */
  #write(
    slices: readonly MatrixSlice[],
    chunk: MatrixChunk,
    layout: PlanarLayout,
    cols: number,
  ): void {
    const { quantBytes, scaleBytes } = groupedBytes(layout, chunk.rowCount, cols);
    const grouped = this.#scratchPlanes(quantBytes, scaleBytes);
    groupRows(layout, chunk, chunk.rowCount, cols, grouped);
    const group = groupedBytes(layout, ROW_GROUP, cols);
    for (const slice of slices) {
      const from = Math.max(slice.rowStart, chunk.rowStart);
      const to = Math.min(slice.rowStart + slice.rows, chunk.rowStart + chunk.rowCount);
      if (from >= to) continue;
      const write = (
        buffer: GPUBuffer,
        data: Uint32Array<ArrayBuffer>,
        groupBytes: number,
      ): void => {
        const start = ((from - chunk.rowStart) / ROW_GROUP) * groupBytes;
        const end = Math.ceil((to - chunk.rowStart) / ROW_GROUP) * groupBytes;
        const offset = ((from - slice.rowStart) / ROW_GROUP) * groupBytes;
        this.#gpu.device.queue.writeBuffer(buffer, offset, data, start / 4, (end - start) / 4);
      };
      write(slice.quants, grouped.quants, group.quantBytes);
      if (group.scaleBytes > 0) write(slice.scales, grouped.scales, group.scaleBytes);
    }
  }

  #scratchPlanes(quantBytes: number, scaleBytes: number): OwnPlanes {
    const bytes = quantBytes + scaleBytes;
    if (this.#scratch.byteLength < bytes) this.#scratch = new ArrayBuffer(bytes);
    return {
      quants: new Uint32Array(this.#scratch, 0, quantBytes / 4),
      scales: new Uint32Array(this.#scratch, quantBytes, scaleBytes / 4),
    };
  }

  #buffer(label: string, bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    return this.#gpu.buffers.create({ label, purpose: "weights", bytes, usage });
  }
}

/** Runs that can share buffers: of one layout, each but the last made of whole groups of rows. */
function groupByLayout(runs: readonly RowRun[]): RowRun[][] {
  const groups: RowRun[][] = [];
  for (const run of runs) {
    const last = groups.at(-1);
    const before = last?.at(-1);
    const joins =
      before !== undefined &&
      sameLayout(before.layout, run.layout) &&
      before.rows % ROW_GROUP === 0;
    if (joins) last?.push(run);
    else groups.push([run]);
  }
  return groups;
}
