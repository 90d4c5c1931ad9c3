import type { GpuContext } from "../gpu/device.ts";
import type { KvShape } from "./layout.ts";
import { ENTRY_BYTES, type TableEntry, tableEntries } from "./table.ts";

/**
 * Brings the host what the GPU decided about the heads of a layer while later layers are still in
 * work. Nobody waits for it: until it has come, `heads` knows nothing.
 */
export class HeadReader {
  readonly #gpu: Pick<GpuContext, "device" | "buffers">;
  readonly #table: GPUBuffer;
  readonly #bytes: number;
  readonly #staging: readonly GPUBuffer[];
  readonly #heads: (readonly TableEntry[] | undefined)[] = [];

  /** Allocates a few bytes per layer: call it inside `gpu.allocating`. */
  constructor(gpu: Pick<GpuContext, "device" | "buffers">, shape: KvShape, table: GPUBuffer) {
    this.#gpu = gpu;
    this.#table = table;
    this.#bytes = shape.numKvHeads * ENTRY_BYTES;
    this.#staging = Array.from({ length: shape.numLayers }, (_, layer) =>
      gpu.buffers.create({
        label: `heads of layer ${layer} read-back`,
        purpose: "staging",
        bytes: this.#bytes,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    );
  }

  /** The heads of a layer as its compression left them; undefined while that is not known yet. */
  heads(layer: number): readonly TableEntry[] | undefined {
    return this.#heads[layer];
  }

  /** A layer's compression is submitted: fetch what it left in the table. */
  fetch(layer: number): void {
    const staging = this.#staging[layer] as GPUBuffer;
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#table, layer * this.#bytes, staging, 0, this.#bytes);
    device.queue.submit([encoder.finish()]);
    staging.mapAsync(GPUMapMode.READ).then(
      () => (this.#heads[layer] = tableEntries(new Uint32Array(staging.getMappedRange()))),
      () => {}, // the device is lost, or the prefill was given up: both are told elsewhere
    );
  }

  destroy(): void {
    for (const buffer of this.#staging) this.#gpu.buffers.destroy(buffer);
  }
}
