import { expect, test } from "vitest";
import { GpuCount, type GpuClasses, type Survivor } from "../../demo/memory/count-gpu.ts";
import { countedAt } from "../../demo/memory/gpu-watch.ts";
import { grownLabels, leftLabels } from "../../demo/memory/leak-check.ts";
import { timelineOf } from "../../src/profile.ts";
import { sampleTrace } from "./sample-trace.ts";

/** WebGPU's classes as far as they are counted, new for each test. */
function fakeClasses(): { classes: GpuClasses; open: () => GPUDevice } {
  class FakeBuffer {
    readonly label: string;
    readonly size: number;
    constructor({ label, size }: { label: string; size: number }) {
      this.label = label;
      this.size = size;
    }
    destroy(): void {}
  }
  class FakeQuerySet {
    readonly label: string;
    readonly count: number;
    constructor({ label, count }: { label: string; count: number }) {
      this.label = label;
      this.count = count;
    }
    destroy(): void {}
  }
  class FakeDevice {
    createBuffer(descriptor: { label: string; size: number }): FakeBuffer {
      return new FakeBuffer(descriptor);
    }
    createQuerySet(descriptor: { label: string; count: number }): FakeQuerySet {
      return new FakeQuerySet(descriptor);
    }
    destroy(): void {}
  }
  const classes = { GPUDevice: FakeDevice, GPUBuffer: FakeBuffer, GPUQuerySet: FakeQuerySet };
  return {
    classes: classes as unknown as GpuClasses,
    open: () => new FakeDevice() as unknown as GPUDevice,
  };
}

test("the second count follows WebGPU's own calls, and names what a device took with it", () => {
  const { classes, open } = fakeClasses();
  const gone: Survivor[][] = [];
  const count = new GpuCount(classes, (survivors) => gone.push(survivors));
  const [device, other] = [open(), open()];
  const first = device.createBuffer({ label: "a", size: 100, usage: 1 });
  const queries = device.createQuerySet({ label: "q", type: "timestamp", count: 4 });
  device.createBuffer({ label: "b", size: 60, usage: 1 });
  other.createBuffer({ label: "elsewhere", size: 8, usage: 1 });
  first.destroy();
  first.destroy();
  queries.destroy();
  expect(count.totals).toEqual([100, 132, 192, 200, 100, 68]);
  device.destroy();
  expect(gone).toEqual([[{ label: "b", bytes: 60 }]]);
  expect(count.totals.at(-1)).toBe(8);
});

test("it goes along with a run change for change, also where the run has lost some", () => {
  const run = sampleTrace();
  const { total } = timelineOf({ ...run, samples: [] });
  const totals = total.slice(1, run.events.length + 1);
  for (const at of [0, 5, 11, 35, 59, 60, 200]) {
    const replayed = timelineOf(run);
    const entry = replayed.times.findLastIndex((time) => time <= at);
    expect(countedAt(run, totals, at)).toBe(replayed.total[Math.max(entry, 0)]);
  }
  const late = { ...run, droppedEvents: 3, events: run.events.slice(3) };
  expect(countedAt(late, totals, 200)).toBe(totals.at(-1));
  // Frees that the ledger notes and WebGPU never saw: what is left is what was counted last.
  expect(countedAt(run, totals.slice(0, 14), 200)).toBe(totals[13]);
  expect(countedAt(run, [], 200)).toBe(0);
});

test("leaks are what grew between like turns, and what was left, by label", () => {
  const turn = [
    { label: "weights", bytes: 100 },
    { label: "scratch", bytes: 8 },
  ];
  expect(grownLabels(turn, turn)).toEqual([]);
  expect(
    grownLabels(turn, [...turn, { label: "scratch", bytes: 8 }, { label: "new", bytes: 2 }]),
  ).toEqual([
    { label: "scratch", count: 1, bytes: 8, found: "grew from turn to turn" },
    { label: "new", count: 1, bytes: 2, found: "grew from turn to turn" },
  ]);
  expect(leftLabels([turn[1], turn[1]])).toEqual([
    { label: "scratch", count: 2, bytes: 16, found: "left on the GPU" },
  ]);
});
