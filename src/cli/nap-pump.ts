/** Naps never shorter than this, so that a spinning wait stays out of the driver's way. */
const SHORTEST_NAP_MS = 0.05;
/** Naps never longer than this, so that a finished result is seen soon. */
const LONGEST_NAP_MS = 2;
/** A nap takes this part of the time already waited: short waits stay short, long ones cost nothing. */
const NAP_SHARE = 0.1;

/** The calls whose promise settles only after work that may take long. */
const SLOW_CALLS: readonly (readonly [type: string, method: string])[] = [
  ["GPUBuffer", "mapAsync"],
  ["GPUQueue", "onSubmittedWorkDone"],
  ["GPUDevice", "createComputePipelineAsync"],
];

/**
 * Lets this thread nap while GPU results are pending.
 *
 * Dawn for Node polls for results once per turn of the event loop, without a pause: on a CPU adapter that takes a core
 * from the threads that do the work. A blocking nap per turn hands the core back. Measured on two cores with a shader
 * of 350 ms: lavapipe 1.5 to 2 times as fast, SwiftShader 1.6 times; a round trip of 0.16 ms grows to 0.2–0.3 ms.
 *
 * @param globals The `globals` of the npm package `webgpu`, whose classes are patched once.
 */
export function installNapPump(globals: object): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let pending = 0;
  let waitingSince = 0;
  let scheduled = false;

  const turn = (): void => {
    scheduled = false;
    if (pending === 0) return;
    const waited = performance.now() - waitingSince;
    const nap = Math.min(LONGEST_NAP_MS, Math.max(SHORTEST_NAP_MS, waited * NAP_SHARE));
    Atomics.wait(cell, 0, 0, nap);
    schedule();
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(turn);
  };
  const settled = (): void => {
    pending--;
    waitingSince = performance.now();
  };

  for (const [type, method] of SLOW_CALLS) {
    patch(globals, type, method, (promise) => {
      if (pending++ === 0) waitingSince = performance.now();
      schedule();
      promise.then(settled, settled);
    });
  }
}

/** Calls `watch` with the promise that each call of `globals[type].prototype[method]` returns. */
function patch(
  globals: object,
  type: string,
  method: string,
  watch: (promise: Promise<unknown>) => void,
): void {
  const { prototype } = Reflect.get(globals, type) as { prototype: object };
  const original = Reflect.get(prototype, method) as (...args: unknown[]) => Promise<unknown>;
  Reflect.set(prototype, method, function patched(this: unknown, ...args: unknown[]) {
    const promise = original.apply(this, args);
    watch(promise);
    return promise;
  });
}
