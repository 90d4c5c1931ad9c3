import type { MemoryReport } from "../../src/index.ts";
import { atMostEvery } from "../at-most.ts";
import { type ChatState, isBusy } from "../chat-state.ts";
import { byId, el, setText, svg } from "../dom.ts";
import { formatMiB, formatMiBNumber, UNKNOWN } from "../format.ts";
import { connectKvPanel } from "./kv-panel.ts";

/** The ledger's purposes in the one order in which every chart shows them. */
const PURPOSES = [
  ["weights", "Weights"],
  ["kv", "KV cache"],
  ["activations", "Activations"],
  ["staging", "Staging"],
  ["uniforms", "Uniforms"],
] as const;

/** While an answer is made the ledger is read ten times a second: as often as anybody can see. */
const REFRESH_MS = 100;

/** The ledger: total and by purpose, now and at peak. */
export interface MemoryPanel {
  render(state: ChatState): void;
}

/**
 * Connect the panel that stands in the page.
 * @param runAddress what the memory page's address ends with, to show the run of this page
 */
export function connectMemoryPanel(runAddress: string): MemoryPanel {
  const total = byId("memory-total", HTMLElement);
  const peak = byId("memory-peak", HTMLElement);
  const link = byId("memory-link", HTMLAnchorElement);
  link.hash = runAddress;
  const kv = connectKvPanel(() => link.click());
  const rows = PURPOSES.map(([purpose, label]) => {
    const now = el("td", {}, UNKNOWN);
    const most = el("td", {}, UNKNOWN);
    const swatch = svg("svg", { class: "swatch", "aria-hidden": "true" });
    swatch.append(svg("rect", { class: `fill-${purpose}`, width: "100%", height: "100%" }));
    const name = el("th", { scope: "row" }, swatch, label);
    byId("memory-rows", HTMLElement).append(el("tr", {}, name, now, most));
    return { purpose, now, most };
  });
  const bars = PURPOSES.map(([purpose]) =>
    svg("rect", { class: `fill-${purpose}`, height: "100%", width: "0" }),
  );
  byId("memory-bar", HTMLElement).append(
    svg("svg", { class: "bar", "aria-hidden": "true" }, ...bars),
  );
  let latest: ChatState | undefined;

  const show = (memory: MemoryReport | undefined): void => {
    setText(total, memory === undefined ? UNKNOWN : formatMiB(memory.total));
    setText(peak, memory === undefined ? UNKNOWN : formatMiB(memory.peak));
    let left = 0;
    for (const [index, { purpose, now, most }] of rows.entries()) {
      const bytes = memory === undefined ? 0 : bytesOf(memory, purpose);
      setText(now, memory === undefined ? UNKNOWN : formatMiBNumber(bytes));
      setText(most, memory === undefined ? UNKNOWN : formatMiBNumber(memory.peaks[purpose]));
      const share = memory === undefined ? 0 : (100 * bytes) / Math.max(1, memory.peak);
      bars[index]?.setAttribute("x", `${left.toFixed(3)}%`);
      bars[index]?.setAttribute("width", `${share.toFixed(3)}%`);
      left += share;
    }
  };

  const memoryOf = ({ model }: ChatState): MemoryReport | undefined =>
    model.step === "ready" ? model.engine.memory() : undefined;
  const refreshTable = atMostEvery(REFRESH_MS, () => {
    if (latest !== undefined) show(memoryOf(latest));
  });
  const refreshKv = atMostEvery(REFRESH_MS, () => {
    if (latest === undefined) return;
    kv.render(latest, memoryOf(latest));
    // Half a beat later, so that no frame has both to lay out.
    setTimeout(() => refreshTable.ask(), REFRESH_MS / 2);
  });

  return {
    render(state) {
      latest = state;
      if (isBusy(state)) return refreshKv.ask();
      refreshKv.now();
      refreshTable.now();
    },
  };
}

function bytesOf(memory: MemoryReport, purpose: (typeof PURPOSES)[number][0]): number {
  return purpose === "kv" ? memory.kv.allocated : memory[purpose];
}
