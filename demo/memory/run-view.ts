import {
  formatBytes,
  formatMiB,
  formatTime,
  type TimelineData,
  ZigHeatmap,
  ZigKernels,
  ZigMeter,
  ZigPyramid,
  ZigTimeline,
  ZigTokens,
} from "../../src/elements.ts";
import {
  buffersAt,
  CATEGORIES,
  CATEGORY_NAMES,
  indexAt,
  keptCounts,
  layersAt,
  type RunTrace,
  type Timeline,
  timelineOf,
  type TraceBuffer,
} from "../../src/profile.ts";
import { byId, el, setText } from "../dom.ts";

/** Buffers that are listed at once: the largest. */
const MOST_BUFFERS = 300;

const USAGES = [
  [1, "map read"],
  [2, "map write"],
  [4, "copy source"],
  [8, "copy target"],
  [64, "uniform"],
  [128, "storage"],
  [512, "query resolve"],
] as const;

/** Everything that shows one run, at one moment. */
export interface RunView {
  /** Show a run; the moment stays where it was set, or follows the end. */
  show(run: RunTrace): void;
}

/** Connect the charts and tables that stand in the page. */
export function connectRunView(): RunView {
  const timeline = byId("timeline", ZigTimeline);
  const pyramid = byId("pyramid", ZigPyramid);
  const meter = byId("meter", ZigMeter);
  const heatmap = byId("heatmap", ZigHeatmap);
  const tokens = byId("tokens", ZigTokens);
  const kernels = byId("kernels", ZigKernels);
  const heatmapRows = byId("heatmap-rows", HTMLSelectElement);
  const tokenLayer = byId("token-layer", HTMLSelectElement);
  const filter = byId("filter", HTMLInputElement);
  const limit = byId("limit", HTMLInputElement);
  let run: RunTrace | undefined;
  let times: Timeline | undefined;

  const renderMoment = (): void => {
    if (run === undefined || times === undefined) return;
    const at = timeline.at ?? run.end;
    const { layers, tokens: seen, fullBytes } = layersAt(run, at);
    pyramid.data = { tokens: seen, layers };
    const i = indexAt(times.times, at);
    const { bytes, total } = times;
    const kv = (entry: number): number =>
      (bytes.keys[entry] ?? 0) + (bytes.values[entry] ?? 0) + (bytes.index[entry] ?? 0);
    const peak = times.times
      .slice(0, i + 1)
      .reduce((most, _, entry) => Math.max(most, kv(entry)), 0);
    meter.data = { allocated: kv(i), full: fullBytes, peak };
    const live = buffersAt(run, at);
    renderMemory(times, i, live);
    renderBuffers(live, filter.value, at);
    renderFree(limit.valueAsNumber, total);
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

  timeline.addEventListener("zig-moment", renderMoment);
  for (const input of [filter, limit]) input.addEventListener("input", renderMoment);
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
  tokens.addEventListener("zig-token", (event) => {
    const { index } = (event as CustomEvent<{ index: number }>).detail;
    setText(byId("token-grid", HTMLElement), whoKeeps(run, index));
  });

  return {
    show(shown) {
      run = shown;
      times = timelineOf(shown);
      timeline.data = timelineData(shown, times);
      kernels.data = shown.kernels;
      for (const select of [heatmapRows, tokenLayer]) fillLayers(select, shown.model.numLayers);
      renderMoment();
      renderKept();
    },
  };
}

function timelineData(run: RunTrace, times: Timeline): TimelineData {
  const { bytes, total, full } = times;
  const kv = (i: number): number =>
    (bytes.keys[i] ?? 0) + (bytes.values[i] ?? 0) + (bytes.index[i] ?? 0);
  return {
    times: times.times,
    end: run.end,
    series: CATEGORIES.map((name) => ({
      colour: name,
      label: CATEGORY_NAMES[name],
      bytes: bytes[name],
    })),
    total,
    full: total.map((sum, i) => sum - kv(i) + (full[i] ?? 0)),
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

function renderMemory({ bytes, total }: Timeline, i: number, live: readonly TraceBuffer[]): void {
  const most = (values: readonly number[]): number =>
    values.reduce((peak, value) => Math.max(peak, value), 0);
  const sum = total[i] ?? 0;
  // The list of buffers is replayed on its own: what it lacks would be unaccounted for.
  const unaccounted = sum - live.reduce((all, buffer) => all + buffer.bytes, 0);
  const rows = [
    ...CATEGORIES.map(
      (name) => [CATEGORY_NAMES[name], bytes[name][i] ?? 0, most(bytes[name])] as const,
    ),
    ["Total", sum, most(total)] as const,
  ].map(([label, now, peak]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, label),
      el("td", {}, formatMiB(now)),
      el("td", {}, formatMiB(peak)),
    ),
  );
  const last = el(
    "tr",
    { id: "unaccounted" },
    el("th", { scope: "row" }, "Unaccounted"),
    el("td", {}, formatBytes(unaccounted)),
    el("td"),
  );
  byId("memory-rows", HTMLElement).replaceChildren(...rows, last);
}

function renderFree(limitMiB: number, total: readonly number[]): void {
  if (!(limitMiB > 0)) return;
  const peak = total.reduce((most, value) => Math.max(most, value), 0);
  const free = limitMiB * 2 ** 20 - peak;
  const text =
    free >= 0 ? `${formatMiB(free)} free at peak` : `${formatMiB(-free)} too much at peak`;
  setText(byId("free", HTMLElement), text);
}

function renderBuffers(live: readonly TraceBuffer[], filter: string, at: number): void {
  const wanted = filter.trim().toLowerCase();
  const found = live
    .filter(({ label, purpose }) => `${label} ${purpose}`.toLowerCase().includes(wanted))
    .sort((a, b) => b.bytes - a.bytes);
  const bytes = found.reduce((sum, buffer) => sum + buffer.bytes, 0);
  const shown = found.slice(0, MOST_BUFFERS);
  const most = shown.length < found.length ? `, the largest ${shown.length} of them here` : "";
  const count = `${found.length} buffers, ${formatMiB(bytes)}${most}`;
  setText(byId("buffer-count", HTMLElement), count);
  byId("buffer-rows", HTMLElement).replaceChildren(
    ...shown.map((buffer) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, buffer.label),
        el("td", {}, buffer.purpose),
        el("td", {}, formatBytes(buffer.bytes)),
        el("td", {}, usageText(buffer.usage)),
        el("td", {}, formatTime(Math.max(at - buffer.at, 0))),
      ),
    ),
  );
}

function usageText(usage: number): string {
  return USAGES.flatMap(([flag, name]) => ((usage & flag) === 0 ? [] : name)).join(", ");
}

function whoKeeps(run: RunTrace | undefined, index: number): string {
  const kept = run?.kept;
  if (kept === undefined) return "";
  const layers = kept.map((heads) => heads.map((positions) => positions.includes(index)));
  const all = layers.flatMap((heads, at) => (heads.every(Boolean) ? at : []));
  const some = layers.flatMap((heads, at) =>
    heads.some(Boolean) && !heads.every(Boolean)
      ? `${at} (heads ${heads.flatMap((keeps, h) => (keeps ? h : [])).join(", ")})`
      : [],
  );
  const list = (items: readonly unknown[]): string =>
    items.length > 0 ? items.join(", ") : "none";
  return `Token ${index}: kept by all heads of layers ${list(all)}; by some of layers ${list(some)}.`;
}
