import { formatMiB } from "../../src/elements.ts";
import { layersAt, type RunTrace, timelineOf } from "../../src/profile.ts";
import { byId, el } from "../dom.ts";

const MOST_RUNS = 4;

/** Figures that runs are compared by. */
function figures(run: RunTrace): readonly (readonly [name: string, value: number, text: string])[] {
  const last = run.calls.at(-1);
  const { layers, fullBytes } = layersAt(run, run.end);
  const rows = layers.reduce((sum, { bytes }) => sum + bytes, 0);
  const peak = timelineOf(run).total.reduce((most, value) => Math.max(most, value), 0);
  const ms = last?.timeToFirstTokenMs ?? 0;
  const rate = last?.decodeTokensPerSecond ?? 0;
  return [
    ["Cache rows", rows, formatMiB(rows)],
    ["Full cache", fullBytes, formatMiB(fullBytes)],
    ["Peak of all", peak, formatMiB(peak)],
    ["Time to first token", ms, `${ms.toFixed(0)} ms`],
    ["Decode", rate, `${rate.toFixed(1)} tokens/s`],
  ];
}

/** Connect the comparison of the last runs that were kept. */
export function connectCompare(): { keep(run: RunTrace): void } {
  const runs: RunTrace[] = [];
  return {
    keep(run) {
      runs.push(run);
      if (runs.length > MOST_RUNS) runs.shift();
      const all = runs.map(figures);
      const heads = runs.map(({ cache, createdAt }) =>
        el("th", { scope: "col" }, `${cache.policy}, ${createdAt.slice(11, 19)}`),
      );
      byId("compare-head", HTMLElement).replaceChildren(
        el("tr", {}, el("th", { scope: "col" }, "Figure"), ...heads),
      );
      const rows = (all[0] ?? []).map(([name, measure], row) => {
        const cells = all.map((run_, at) => {
          const [, value, text] = run_[row] as (typeof run_)[number];
          const change = measure === 0 ? 0 : (100 * (value - measure)) / measure;
          const sign = change > 0 ? "+" : "";
          return el("td", {}, at === 0 ? text : `${text} (${sign}${change.toFixed(1)}\u00a0%)`);
        });
        return el("tr", {}, el("th", { scope: "row" }, name), ...cells);
      });
      byId("compare-rows", HTMLElement).replaceChildren(...rows);
      const pyramids = runs.map((each) => {
        const pyramid = document.createElement("zig-pyramid");
        const { tokens, layers } = layersAt(each, each.end);
        pyramid.data = { tokens, layers };
        return el("div", {}, el("h3", {}, each.cache.policy), pyramid);
      });
      byId("compare-pyramids", HTMLElement).replaceChildren(...pyramids);
    },
  };
}
