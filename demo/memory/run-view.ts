import {
  formatBytes,
  formatMiB,
  type TimelineData,
  ZigHeatmap,
  ZigKernels,
  ZigMeter,
  ZigPyramid,
  ZigTimeline,
  ZigTokens,
} from "../../src/elements.ts";
import {
  type Category,
  CATEGORIES,
  CATEGORY_NAMES,
  generatedRows,
  indexAt,
  keptCounts,
  layersAt,
  type RunTrace,
  type Timeline,
  timelineOf,
} from "../../src/profile.ts";
import { byId, el, setText, tableRow } from "../dom.ts";
import { showAdapter } from "./adapter-view.ts";
import { connectBufferTable } from "./buffer-table.ts";
import { countedAt } from "./gpu-watch.ts";
import { LedgerCursor } from "./ledger-cursor.ts";
import { connectTokenView, type ScoresOf } from "./token-view.ts";

/** Everything that shows one run, at one moment. */
export interface RunView {
  /**
   * Show a run; the moment stays where it was set, or follows the end.
   * @param counted bytes after each change of the GPU's memory, counted apart from the ledger
   */
  show(run: RunTrace, counted: readonly number[] | undefined): void;
}

/** Connect the charts and tables that stand in the page. */
export function connectRunView(scoresOf: ScoresOf): RunView {
  const timeline = byId("timeline", ZigTimeline);
  const pyramid = byId("pyramid", ZigPyramid);
  const meter = byId("meter", ZigMeter);
  const heatmap = byId("heatmap", ZigHeatmap);
  const tokens = byId("tokens", ZigTokens);
  const kernels = byId("kernels", ZigKernels);
  const heatmapRows = byId("heatmap-rows", HTMLSelectElement);
  const tokenLayer = byId("token-layer", HTMLSelectElement);
  const limit = byId("limit", HTMLInputElement);
  let run: RunTrace | undefined;
  let times: Timeline | undefined;
  let totals: readonly number[] | undefined;
  let peaks: Peaks | undefined;
  let cursor: LedgerCursor | undefined;
  const buffers = connectBufferTable();
  const picked = connectTokenView(scoresOf);
  let frame = 0;

  const renderMoment = (): void => {
    if (run === undefined || !times || !peaks || !cursor) return;
    const at = timeline.at ?? run.end;
    const { layers, tokens: seen, fullBytes } = layersAt(run, at);
    const generated = generatedRows(run, at);
    pyramid.data = {
      tokens: seen,
      layers: layers.map((layer, index) => {
        const rows = generated?.[index];
        return rows === undefined ? layer : { ...layer, generated: rows };
      }),
    };
    const i = indexAt(times.times, at);
    const [allocated = 0, peak = 0] = [peaks.kv[i], peaks.kvSoFar[i]];
    meter.data = { allocated, full: fullBytes, peak };
    renderMemory(times, i, peaks, totals && countedAt(run, totals, at));
    const live = cursor.moveTo(at);
    showAdapter(run, live);
    buffers.show(live, layers);
    renderFree(limit.valueAsNumber, peaks.total);
  };
  const renderKept = (): void => {
    const { kept, tokens: texts, calls, cache } = run ?? {};
    if (kept === undefined || texts === undefined) {
      heatmap.data = undefined;
      tokens.data = undefined;
      return;
    }
    const last = calls?.at(-1);
    const window = cache?.windowSize ?? 0;
    const end = last?.promptTokens ?? texts.length;
    heatmap.data = {
      kept,
      tokens: texts.length,
      sinks: cache?.numSinks ?? 0,
      window: [end - window, end],
      ...(heatmapRows.value === "" ? {} : { layer: Number(heatmapRows.value) }),
    };
    const chosen = tokenLayer.value === "" ? kept : [kept[Number(tokenLayer.value)] ?? []];
    const counts = keptCounts(chosen, texts.length);
    tokens.data = {
      of: chosen.flat(1).length,
      tokens: texts.map(({ text }, at) => ({ text: text || "·", kept: counts[at] as number })),
    };
  };

  // A pointer may move several times a frame.
  timeline.addEventListener("zig-moment", () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      renderMoment();
    });
  });
  limit.addEventListener("input", renderMoment);
  for (const select of [heatmapRows, tokenLayer]) select.addEventListener("change", renderKept);
  for (const name of ["unit", "scale"]) {
    const select = byId(name, HTMLSelectElement);
    select.addEventListener("change", () => pyramid.setAttribute(name, select.value));
  }
  heatmap.addEventListener("zig-cell", (event) => {
    if (heatmapRows.value !== "") return;
    heatmapRows.value = String((event as CustomEvent<{ row: number }>).detail.row);
    renderKept();
  });

  return {
    show(shown, counted) {
      run = shown;
      totals = counted;
      times = timelineOf(shown);
      peaks = peaksOf(times);
      cursor = new LedgerCursor(shown);
      timeline.data = timelineData(shown, times, peaks.kv);
      kernels.data = shown.kernels;
      for (const select of [heatmapRows, tokenLayer]) fillLayers(select, shown.model.numLayers);
      renderMoment();
      renderKept();
      picked.show(shown);
    },
  };
}

/** What is looked up at every moment, computed once for a run. */
interface Peaks {
  readonly bytes: Readonly<Record<Category, number>>;
  readonly total: number;
  /** The cache's bytes at each entry of the timeline, and the most until then. */
  readonly kv: readonly number[];
  readonly kvSoFar: readonly number[];
}

function peaksOf({ bytes, total }: Timeline): Peaks {
  const most = (values: readonly number[]): number =>
    values.reduce((peak, value) => Math.max(peak, value), 0);
  const kv = total.map(
    (_, i) => (bytes.keys[i] ?? 0) + (bytes.values[i] ?? 0) + (bytes.index[i] ?? 0),
  );
  let peak = 0;
  return {
    bytes: Object.fromEntries(CATEGORIES.map((name) => [name, most(bytes[name])])) as Record<
      Category,
      number
    >,
    total: most(total),
    kv,
    kvSoFar: kv.map((value) => (peak = Math.max(peak, value))),
  };
}

function timelineData(run: RunTrace, times: Timeline, kv: readonly number[]): TimelineData {
  const { bytes, total, full } = times;
  return {
    times: times.times,
    end: run.end,
    series: CATEGORIES.map((name) => ({
      colour: name,
      label: CATEGORY_NAMES[name],
      bytes: bytes[name],
    })),
    total,
    full: total.map((sum, i) => sum - (kv[i] ?? 0) + (full[i] ?? 0)),
    phases: run.phases,
  };
}

function fillLayers(select: HTMLSelectElement, layers: number): void {
  if (select.options.length === layers + 1) return;
  const options = Array.from({ length: layers }, (_, layer) =>
    el("option", { value: String(layer) }, `layer ${layer}`),
  );
  select.replaceChildren(el("option", { value: "" }, "all layers"), ...options);
}

function renderMemory(
  { bytes, total }: Timeline,
  i: number,
  peaks: Peaks,
  counted: number | undefined,
): void {
  const sum = total[i] ?? 0;
  const rows = [
    ...CATEGORIES.map(
      (name) => [CATEGORY_NAMES[name], bytes[name][i] ?? 0, peaks.bytes[name]] as const,
    ),
    ["Total", sum, peaks.total] as const,
  ].map(([label, now, peak]) => tableRow(label, formatMiB(now), formatMiB(peak)));
  const last =
    counted === undefined
      ? [["unaccounted", "Unaccounted", "only known of a run on this page"] as const]
      : [
          ["counted", "By WebGPU’s own calls", formatMiB(counted), ""] as const,
          ["unaccounted", "Unaccounted", formatBytes(counted - sum), ""] as const,
        ];
  byId("memory-rows", HTMLElement).replaceChildren(...rows, ...last.map(lastRow));
}

/** What isn't counted has words in place of a figure, over both columns. */
function lastRow([id, label, ...texts]: readonly [string, string, ...string[]]): HTMLElement {
  const colspan = texts.length === 1 ? "2" : "1";
  const cells = texts.map((text) => el("td", { colspan }, text));
  return el("tr", { id }, el("th", { scope: "row" }, label), ...cells);
}

function renderFree(limitMiB: number, peak: number): void {
  if (!(limitMiB > 0)) return;
  const free = limitMiB * 2 ** 20 - peak;
  const text =
    free >= 0 ? `${formatMiB(free)} free at peak` : `${formatMiB(-free)} too much at peak`;
  setText(byId("free", HTMLElement), text);
}
