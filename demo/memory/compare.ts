import { ZigRuns } from "../../src/elements.ts";
import { layersAt, type RunTrace, timelineOf } from "../../src/profile.ts";
import { byId, el, setHidden, tableRow } from "../dom.ts";
import { compareRuns } from "./compare-runs.ts";

const MOST_RUNS = 4;

/** Connect the comparison of the last runs that were kept. */
export function connectCompare(): { keep(run: RunTrace): void } {
  const runs: RunTrace[] = [];
  const overlay = byId("compare-overlay", ZigRuns);
  return {
    keep(run) {
      runs.push(run);
      if (runs.length > MOST_RUNS) runs.shift();
      const names = runs.map(nameOf);
      const heads = names.map((name) => el("th", { scope: "col" }, name));
      byId("compare-head", HTMLElement).replaceChildren(
        el("tr", {}, el("th", { scope: "col" }, "Figure"), ...heads),
      );
      byId("compare-rows", HTMLElement).replaceChildren(
        ...compareRuns(runs).map(({ name, texts }) => tableRow(name, ...texts)),
      );
      setHidden(overlay, false);
      overlay.data = {
        runs: runs.map((each, at) => {
          const { times, total } = timelineOf(each);
          const rows = layersAt(each, each.end).layers.map(({ length }) => length);
          return { label: names[at] as string, rows, times, bytes: total, end: each.end };
        }),
      };
    },
  };
}

function nameOf({ cache, createdAt }: RunTrace, at: number): string {
  return `${at + 1}: ${cache.policy}, ${createdAt.slice(11, 19)}`;
}
