import type { BufferAllocator, GpuMemory } from "./buffers.ts";
import type { KernelTimer } from "./kernel-timer.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelSource } from "./wgsl.ts";

/** A whole buffer, or a range of one (`offset` a multiple of 256 bytes). */
export type BufferBinding = GPUBuffer | { buffer: GPUBuffer; offset: number; size: number };

export type Workgroups = readonly [x: number, y: number, z: number];

/** What the forward pass writes to: it names kernels, buffers, numbers and a grid, no GPU calls. */
export interface DispatchList {
  /** Record one dispatch. Buffers and params are given by the names that the WGSL gives them. */
  run(
    kernel: Kernel,
    buffers: Readonly<Record<string, BufferBinding>>,
    params: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void;
}

interface Command {
  readonly kernel: string;
  readonly layer: number | undefined;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly paramsOffset: number;
  readonly workgroups: Workgroups;
}

/** Bytes between two Params in the uniform buffer: the alignment that every device accepts. */
export const SLOT_BYTES = 256;

/**
 * Records dispatches, then submits them in one compute pass. All Params of a submit lie in one
 * uniform buffer, written once; bind groups are made once per kernel and set of buffers.
 */
export class Recorder implements DispatchList {
  /** Layer of what is recorded from now on: only timings tell. */
  layer: number | undefined;
  readonly #device: GPUDevice;
  readonly #buffers: BufferAllocator;
  readonly #uniform: GPUBuffer;
  readonly #params: DataView<ArrayBuffer>;
  readonly #bindGroups: BindGroupCache;
  readonly #label: string;
  #commands: Command[] = [];

  /** `capacity` is the most dispatches in one submit. */
  constructor(device: GPUDevice, buffers: BufferAllocator, capacity: number, label: string) {
    this.#device = device;
    this.#buffers = buffers;
    this.#label = label;
    this.#params = new DataView(new ArrayBuffer(capacity * SLOT_BYTES));
    this.#uniform = buffers.create({
      label: `${label} params`,
      purpose: "uniforms",
      bytes: capacity * SLOT_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#bindGroups = new BindGroupCache(device, buffers, this.#uniform);
  }

  /** Dispatches recorded and not yet submitted. */
  get length(): number {
    return this.#commands.length;
  }

  run(
    kernel: Kernel,
    buffers: Readonly<Record<string, BufferBinding>>,
    params: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void {
    const paramsOffset = this.#commands.length * SLOT_BYTES;
    if (paramsOffset >= this.#params.byteLength) {
      throw new Error(`more than ${this.#params.byteLength / SLOT_BYTES} dispatches in a submit`);
    }
    packParams(kernel.source, params, this.#params, paramsOffset);
    const bindGroup = this.#bindGroups.get(kernel, buffers);
    this.#commands.push({
      kernel: kernel.source.name,
      layer: this.layer,
      pipeline: kernel.pipeline,
      bindGroup,
      paramsOffset,
      workgroups,
    });
  }

  /** Submit what was recorded and start anew; with a timer, each dispatch is timed. */
  submit(timer?: KernelTimer): void {
    this.upload();
    this.replay(1, undefined, timer);
    this.clear();
  }

  /** Write the recorded Params to the GPU: once before a first `replay`. */
  upload(): void {
    const bytes = this.#commands.length * SLOT_BYTES;
    if (bytes > 0) this.#device.queue.writeBuffer(this.#uniform, 0, this.#params.buffer, 0, bytes);
  }

  /**
   * Submit the recorded dispatches `times` times over, and keep them to be replayed again. `after` may
   * add copies to the same submit. With a timer, the dispatches of the first time are timed.
   */
  replay(times: number, after?: (encoder: GPUCommandEncoder) => void, timer?: KernelTimer): void {
    const encoder = this.#device.createCommandEncoder();
    const timed = timer?.begin(this.#label, this.#commands.length);
    if (timed !== undefined) {
      this.#commands.forEach((command, index) =>
        encodePass(encoder, [command], 1, timed.pass(index)),
      );
      timed.resolve(encoder);
    }
    const commands = this.#commands;
    const rest = timed === undefined ? times : times - 1;
    if (rest > 0) encodePass(encoder, commands, rest);
    after?.(encoder);
    this.#device.queue.submit([encoder.finish()]);
    timed?.read(commands);
  }

  /** Forget what was recorded. */
  clear(): void {
    this.#commands = [];
  }

  destroy(): void {
    this.clear();
    this.#bindGroups.destroy();
    this.#buffers.destroy(this.#uniform);
  }
}

function encodePass(
  encoder: GPUCommandEncoder,
  commands: readonly Command[],
  times: number,
  descriptor?: GPUComputePassDescriptor,
): void {
  const pass = encoder.beginComputePass(descriptor);
  for (let i = 0; i < times; i++) {
    for (const { pipeline, bindGroup, paramsOffset, workgroups } of commands) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup, [paramsOffset]);
      pass.dispatchWorkgroups(...workgroups);
    }
  }
  pass.end();
}

/** Bind groups by kernel and buffers; forgets those of a freed buffer. */
class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #buffers: BufferAllocator;
  readonly #uniform: GPUBuffer;
  readonly #groups = new Map<string, { group: GPUBindGroup; buffers: ReadonlySet<GpuMemory> }>();
  readonly #unsubscribe: () => void;

  constructor(device: GPUDevice, buffers: BufferAllocator, uniform: GPUBuffer) {
    this.#device = device;
    this.#buffers = buffers;
    this.#uniform = uniform;
    this.#unsubscribe = buffers.onDestroy((freed) => {
      for (const [key, entry] of this.#groups) {
        if (entry.buffers.has(freed)) this.#groups.delete(key);
      }
    });
  }

  get(kernel: Kernel, bound: Readonly<Record<string, BufferBinding>>): GPUBindGroup {
    const { name: kernelName, bindings } = kernel.source;
    let key = String(kernel.id);
    const resources = bindings.map(({ name, type }) => {
      if (type === "uniform") return { buffer: this.#uniform, size: SLOT_BYTES };
      const given = bound[name];
      if (given === undefined) throw new Error(`kernel "${kernelName}" needs buffer "${name}"`);
      const range = "offset" in given ? given : { buffer: given };
      key += `,${this.#buffers.id(range.buffer)}`;
      if ("offset" in range) key += `:${range.offset}+${range.size}`;
      return range;
    });
    for (const name of Object.keys(bound)) {
      if (!bindings.some((binding) => binding.name === name)) {
        throw new Error(`kernel "${kernelName}" has no buffer "${name}"`);
      }
    }
    const known = this.#groups.get(key);
    if (known !== undefined) return known.group;
    const group = this.#device.createBindGroup({
      label: kernelName,
      layout: kernel.layout,
      entries: bindings.map(({ index }, i) => ({
        binding: index,
        resource: resources[i] as GPUBufferBinding,
      })),
    });
    const buffers = new Set<GpuMemory>(resources.map(({ buffer }) => buffer));
    this.#groups.set(key, { group, buffers });
    return group;
  }

  destroy(): void {
    this.#unsubscribe();
    this.#groups.clear();
  }
}

/** Lay out `Params` at `offset` in the order that the WGSL struct declares; scalars, no padding. */
function packParams(
  source: KernelSource,
  values: Readonly<Record<string, number>>,
  view: DataView,
  offset: number,
): void {
  source.params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`kernel "${source.name}" needs param "${name}"`);
    if (type === "f32") view.setFloat32(offset + i * 4, value, true);
    else if (type === "i32") view.setInt32(offset + i * 4, value, true);
    else view.setUint32(offset + i * 4, value, true);
  });
  for (const name of Object.keys(values)) {
    if (!source.params.some((field) => field.name === name)) {
      throw new Error(`kernel "${source.name}" has no param "${name}"`);
    }
  }
}
