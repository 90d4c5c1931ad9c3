/** How far back a rate looks: long enough to be calm, short enough to follow a change. */
const WINDOW_MS = 4000;

/** Rate and time left of something that counts up, from its latest few seconds. */
export interface RateMeter {
  /** Note the count at a moment (ms on any clock that only goes forward). */
  add(count: number, now: number): void;
  /** Units per second; undefined until two moments are known. */
  perSecond(): number | undefined;
  /** Milliseconds until `total` at this rate; undefined while that can't be said. */
  msLeft(total: number): number | undefined;
}

/** A meter that knows nothing yet. */
export function createRateMeter(): RateMeter {
  let samples: { readonly count: number; readonly at: number }[] = [];

  const perSecond = (): number | undefined => {
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined || last.at <= first.at) return undefined;
    return ((last.count - first.count) / (last.at - first.at)) * 1000;
  };

  return {
    add(count, now) {
      samples.push({ count, at: now });
      // The newest sample that is too old stays: it is where the window begins.
      const begin = samples.findLastIndex(({ at }) => at <= now - WINDOW_MS);
      if (begin > 0) samples = samples.slice(begin);
    },
    perSecond,
    msLeft(total) {
      const last = samples.at(-1);
      const rate = perSecond();
      if (last === undefined || rate === undefined || rate <= 0) return undefined;
      return (Math.max(0, total - last.count) / rate) * 1000;
    },
  };
}
