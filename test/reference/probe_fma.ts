/** Sums of the twelve numbers of each thread after `rounds` rounds of 64 steps, in double precision. */
export function probeFma(
  threads: number,
  rounds: number,
  { factor, addend }: { readonly factor: number; readonly addend: number },
): Float64Array {
  const out = new Float64Array(threads);
  for (let thread = 0; thread < threads; thread++) {
    for (let c = 0; c < 12; c++) {
      let value = (thread % 64) + c;
      for (let step = 0; step < rounds * 64; step++) value = value * factor + addend;
      out[thread] += value;
    }
  }
  return out;
}
