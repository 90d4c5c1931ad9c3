/** A stretch of time, in ms. */
export type TimeRange = readonly [start: number, end: number];

/** Shortest stretch that is zoomed into: clocks of browsers tell no finer. */
const LEAST_MS = 0.01;

/** The moment that a key moves to, in hundredths of what is shown; undefined for any other key. */
export function movedMoment(
  key: string,
  at: number,
  [start, end]: TimeRange,
  last: number,
): number | undefined {
  const step = (end - start) / 100;
  const moves: Readonly<Record<string, number>> = {
    ArrowLeft: at - step,
    ArrowDown: at - step,
    ArrowRight: at + step,
    ArrowUp: at + step,
    PageDown: at - 10 * step,
    PageUp: at + 10 * step,
    Home: 0,
    End: last,
  };
  const to = moves[key];
  return to === undefined ? undefined : Math.min(Math.max(to, 0), last);
}

/** What is shown when the stretch becomes `factor` times as long, with a moment staying where it is. */
export function zoomed(
  [start, end]: TimeRange,
  at: number,
  factor: number,
  last: number,
): TimeRange | undefined {
  const length = Math.max((end - start) * factor, LEAST_MS);
  if (length >= last) return undefined; // all of it
  const share = Math.min(Math.max((at - start) / (end - start), 0), 1);
  const from = Math.min(Math.max(at - share * length, 0), last - length);
  return [from, from + length];
}

/** A selection as a stretch to be shown; undefined where it is too short to be meant. */
export function selected(a: number, b: number): TimeRange | undefined {
  const range: TimeRange = [Math.min(a, b), Math.max(a, b)];
  return range[1] - range[0] < LEAST_MS ? undefined : range;
}

/** What is shown, moved along so that a moment is in sight. */
export function followed([start, end]: TimeRange, at: number): TimeRange {
  const by = Math.min(at - start, 0) + Math.max(at - end, 0);
  return [start + by, end + by];
}
