import type { RunTrace } from "../../src/profile.ts";

/** `console.timeStamp` as DevTools knows it, with a track of its own. */
type TimeStamp = (
  label: string,
  start: number,
  end: number,
  track: string,
  group: string,
  color: string,
) => void;

const COLOURS = {
  load: "secondary",
  prefill: "primary",
  compress: "tertiary",
  decode: "primary-light",
} as const;

/**
 * Put a run's phases into the Performance panel of the browser's DevTools, as a track beside its own.
 * @param endedAt when the trace was taken, on the page's clock: its times count back from there
 */
export function markInDevTools(run: RunTrace, endedAt: number): void {
  const offset = endedAt - run.end;
  const mark = console.timeStamp.bind(console) as unknown as TimeStamp;
  for (const { name, layer, start, end } of run.phases) {
    const label = layer === undefined ? name : `${name} layer ${layer}`;
    mark(label, offset + start, offset + end, name, "Ziggurat", COLOURS[name]);
  }
}
