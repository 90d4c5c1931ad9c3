import type { Browser, Page } from "playwright-core";

/** An event of Chromium's trace; times in µs. `tdur` is time on a core, without waiting for one. */
interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
}

/** What a page's main thread did, in ms of a core. */
export interface MainThreadWork {
  /** Work from one frame to the next, ascending. */
  readonly frames: readonly number[];
  readonly longestTaskMs: number;
  /** The same by the clock on the wall: waiting for a core counts. */
  readonly longestTaskWallMs: number;
}

/** Record the page's main thread while `work` goes on: script, style, layout, paint, collection. */
export async function recordMainThread(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<MainThreadWork> {
  const categories = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"];
  await browser.startTracing(page, { categories });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: TraceEvent[];
  };
  return workOf(traceEvents);
}

function workOf(events: readonly TraceEvent[]): MainThreadWork {
  // The page's process is the one that draws most frames: there may be spare ones.
  const drawn = events.filter(({ name, ph }) => name === "AnimationFrame" && ph === "b");
  const counts = new Map<number, number>();
  for (const { pid } of drawn) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  const [page] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  const own = drawn.filter(({ pid }) => pid === page);
  const thread = own[0]?.tid;
  const starts = own.map(({ ts }) => ts).sort((a, b) => a - b);
  const tasks = events
    .filter(({ name, ph, pid, tid }) => {
      return name === "RunTask" && ph === "X" && pid === page && tid === thread;
    })
    .sort((a, b) => a.ts - b.ts);
  const frames = starts.map(() => 0);
  let frame = 0;
  for (const { ts, dur = 0, tdur = 0 } of tasks) {
    // The task that draws a frame begins a little before it.
    while (frame + 1 < starts.length && (starts[frame + 1] as number) < ts + dur) frame++;
    if (starts.length > 0) frames[frame] = (frames[frame] as number) + tdur / 1000;
  }
  const most = (times: readonly number[]): number => times.reduce((a, b) => Math.max(a, b), 0);
  return {
    frames: frames.sort((a, b) => a - b),
    longestTaskMs: most(tasks.map(({ tdur = 0 }) => tdur)) / 1000,
    longestTaskWallMs: most(tasks.map(({ dur = 0 }) => dur)) / 1000,
  };
}
