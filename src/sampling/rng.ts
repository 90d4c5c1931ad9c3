/**
 * The random number of one step: a hash of (seed, step), so a step needs no state of its own, and
 * replaying or rewinding steps gives the same numbers. The hash is pcg3d (Jarzynski and Olano, "Hash
 * Functions for GPU Rendering", JCGT 9(3), 2020); `shaders/shared/random.wgsl` computes the same.
 * @returns a multiple of 2^-24 in (0, 1].
 */
export function randomUnit(seed: number, step: number): number {
  let x = (Math.imul(seed, 1664525) + 1013904223) | 0;
  let y = (Math.imul(step, 1664525) + 1013904223) | 0;
  let z = 1013904223;
  const mix = (): void => {
    x = (x + Math.imul(y, z)) | 0;
    y = (y + Math.imul(z, x)) | 0;
    z = (z + Math.imul(x, y)) | 0;
  };
  mix();
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  mix();
  return ((x >>> 8) + 1) * 2 ** -24;
}
