/** Something on the GPU that was never let go of. */
export interface Survivor {
  readonly label: string;
  readonly bytes: number;
}

/** The page's first message to its worker: a port for the second count. */
export interface CountGpuMessage {
  readonly countGpu: MessagePort;
}

/** Asks for the totals after change number `from` and later ones. */
export interface TotalsRequest {
  readonly from: number;
}

/** What comes through the port: the totals asked for, or what was left when a device was destroyed. */
export type GpuCountMessage =
  { readonly totals: readonly number[] } | { readonly survivors: readonly Survivor[] };

/** WebGPU's classes, as they are in a worker or made up in a test. */
export interface GpuClasses {
  readonly GPUDevice: { readonly prototype: GPUDevice };
  readonly GPUBuffer: { readonly prototype: GPUBuffer };
  readonly GPUQuerySet: { readonly prototype: GPUQuerySet };
}

/** Bytes of a query, as `webgpu-memory` counts them, too. */
const QUERY_BYTES = 8;

/**
 * Counts what goes through WebGPU's own calls, beside the engine's ledger and without asking it:
 * what differs between the two is unaccounted for.
 */
export class GpuCount {
  /** Bytes after each creation and each release. */
  readonly totals: number[] = [];
  readonly #live = new Map<object, Survivor & { readonly device: GPUDevice }>();
  #total = 0;

  /** @param onDeviceGone told what was still live when a device was destroyed */
  constructor(
    { GPUDevice, GPUBuffer, GPUQuerySet }: GpuClasses,
    onDeviceGone: (survivors: Survivor[]) => void,
  ) {
    wrap(GPUDevice.prototype, "createBuffer", (device, made: GPUBuffer) =>
      this.#add(device, made, made.size),
    );
    wrap(GPUDevice.prototype, "createQuerySet", (device, made: GPUQuerySet) =>
      this.#add(device, made, made.count * QUERY_BYTES),
    );
    wrap(GPUBuffer.prototype, "destroy", (buffer) => this.#remove(buffer));
    wrap(GPUQuerySet.prototype, "destroy", (queries) => this.#remove(queries));
    wrap(GPUDevice.prototype, "destroy", (device) => onDeviceGone(this.#removeAll(device)));
  }

  #add(device: GPUDevice, made: GPUBuffer | GPUQuerySet, bytes: number): void {
    this.#live.set(made, { device, label: made.label, bytes });
    this.#change(bytes);
  }

  #remove(gone: object): void {
    const { bytes } = this.#live.get(gone) ?? {};
    if (bytes === undefined || !this.#live.delete(gone)) return; // destroyed twice, which is allowed
    this.#change(-bytes);
  }

  #removeAll(gone: GPUDevice): Survivor[] {
    const left = [...this.#live].filter(([, { device }]) => device === gone);
    for (const [made] of left) this.#remove(made);
    return left.map(([, { label, bytes }]) => ({ label, bytes }));
  }

  #change(bytes: number): void {
    this.#total += bytes;
    this.totals.push(this.#total);
  }
}

/** Let `after` see every call of a method, and what came of it. */
function wrap<T extends object, K extends keyof T, R>(
  prototype: T,
  name: K,
  after: (self: T, made: R) => void,
): void {
  const method = prototype[name] as (...args: unknown[]) => R;
  prototype[name] = function (this: T, ...args: unknown[]): R {
    const made = method.apply(this, args);
    after(this, made);
    return made;
  } as T[K];
}

/** In a worker: count from now on, and tell the page that asks. */
export function serveGpuCount(): void {
  if (!("GPUDevice" in globalThis)) return;
  let port: MessagePort | undefined;
  const post = (message: GpuCountMessage): void => port?.postMessage(message);
  const count = new GpuCount(globalThis, (survivors) => post({ survivors }));
  addEventListener("message", ({ data }: MessageEvent<Partial<CountGpuMessage> | undefined>) => {
    if (data?.countGpu === undefined) return;
    port = data.countGpu;
    port.addEventListener("message", ({ data: { from } }: MessageEvent<TotalsRequest>) =>
      post({ totals: count.totals.slice(from) }),
    );
    port.start();
  });
}
