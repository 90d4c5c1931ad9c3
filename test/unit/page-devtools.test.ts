import { afterEach, expect, test, vi } from "vitest";
import { markInDevTools } from "../../demo/memory/devtools.ts";
import { sampleTrace } from "./sample-trace.ts";

afterEach(() => vi.unstubAllGlobals());

test("each phase of a run becomes a span in a track of its own, on the page's clock", () => {
  const marks: unknown[][] = [];
  vi.stubGlobal("console", { timeStamp: (...mark: unknown[]) => void marks.push(mark) });
  const run = sampleTrace();
  markInDevTools(run, run.end + 5000);
  expect(marks.map(([, start, end, track, group]) => [start, end, track, group])).toEqual(
    run.phases.map(({ name, start, end }) => [5000 + start, 5000 + end, name, "Ziggurat"]),
  );
  const layered = run.phases.findIndex(({ layer }) => layer !== undefined);
  const { name, layer } = run.phases[layered]!;
  expect(marks[layered]![0]).toBe(`${name} layer ${layer}`);
});
