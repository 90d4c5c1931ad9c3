import { ChartElement } from "./chart-element.ts";
import { formatCount, formatShare, formatTime } from "./format.ts";
import { fillRows, fitChildren, html, setAttributes, setText, svg, table } from "./nodes.ts";
import type { PaletteName } from "./palette.ts";

/** GPU time of one kernel in one layer. */
export interface KernelRow {
  readonly kernel: string;
  readonly layer?: number;
  readonly dispatches: number;
  readonly totalMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** What `zig-kernels` shows; `RunTrace.kernels` fits. */
export interface KernelsData {
  /** Why there are no times. */
  readonly unavailable?: string;
  readonly quantumNs: number;
  readonly steps: number;
  readonly decode: readonly KernelRow[];
  readonly lastStep: readonly {
    readonly kernel: string;
    readonly layer?: number;
    readonly startMs: number;
    readonly durationMs: number;
  }[];
}

const CSS = `
.waterfall { height: var(--zig-kernels-height, 14rem); }
.waterfall[hidden] { display: none; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--_accent); }
table { width: 100%; margin-top: 8px; border-collapse: collapse; }
caption { text-align: left; color: var(--_ink-soft); }
th, td { padding: 4px 0 4px 12px; border-top: 1px solid var(--_line); text-align: right; font-weight: 400; white-space: nowrap; }
th:first-child { padding-left: 0; text-align: left; overflow-wrap: anywhere; white-space: normal; }
thead th { border-top: 0; color: var(--_ink-soft); }
`;

/**
 * `zig-kernels`: where a decode step's GPU time goes. Above, the last timed step as a waterfall, one
 * line for each layer, layer 0 at the bottom; below, every kernel with its median and 95th percentile
 * over all timed steps. Says the timer's quantum, or why there are no times.
 */
export class ZigKernels extends ChartElement<KernelsData> {
  readonly #note = html("p");
  readonly #waterfall = svg("svg", {
    class: "waterfall",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": "Waterfall of one decode step by layer; the table has its figures",
  });
  readonly #table = table("GPU time per decode step, all layers together", [
    "Kernel",
    "Dispatches",
    "p50",
    "p95",
    "Share",
  ]);
  readonly #scroll = html("div", { class: "scroll", tabindex: 0, role: "region" });

  constructor() {
    super(CSS);
    setAttributes(this.#scroll, { "aria-label": "Table of kernel times" });
    this.#scroll.append(this.#table.table);
    this.root.append(this.#note, this.#waterfall, this.#scroll);
  }

  protected render(data: KernelsData | undefined): void {
    const rows = data === undefined ? [] : byKernel(data);
    const hasTimes = data !== undefined && data.unavailable === undefined && rows.length > 0;
    setText(this.#note, note(data));
    this.#waterfall.toggleAttribute("hidden", !hasTimes);
    this.#scroll.hidden = !hasTimes;
    fillRows(this.#table.body, hasTimes ? rows : []);
    this.#drawWaterfall(hasTimes ? data.lastStep : []);
  }

  #drawWaterfall(step: KernelsData["lastStep"]): void {
    const layers = 1 + Math.max(-1, ...step.map(({ layer }) => layer ?? -1));
    const end = Math.max(1e-9, ...step.map(({ startMs, durationMs }) => startMs + durationMs));
    setAttributes(this.#waterfall, { viewBox: `0 0 1000 ${(layers + 1) * 10}` });
    fitChildren(this.#waterfall, step.length, () => svg("rect", { height: 9 }, svg("title")));
    step.forEach(({ kernel, layer, startMs, durationMs }, at) => {
      const rect = this.#waterfall.children[at] as Element;
      setAttributes(rect, {
        class: `colour-${colourOf(kernel)}`,
        x: (1000 * startMs) / end,
        // What belongs to no layer (embedding, head, sampling) has the line on top.
        y: (layers - (layer ?? layers)) * 10,
        width: Math.max((1000 * durationMs) / end, 0.5),
      });
      const where = layer === undefined ? "" : `, layer ${layer}`;
      setText(rect.firstElementChild as Element, `${kernel}${where}: ${formatTime(durationMs)}`);
    });
  }
}

function colourOf(kernel: string): PaletteName {
  if (/^(attention|rope)/.test(kernel)) return "keys";
  if (/^(matvec|matmul)/.test(kernel)) return "weights";
  return /^(sample|argmax)/.test(kernel) ? "staging" : "activations";
}

/** One line for each kernel: layers summed, the slowest first. */
function byKernel({ decode, steps }: KernelsData): string[][] {
  const sums = new Map<string, { dispatches: number; p50: number; p95: number; total: number }>();
  for (const { kernel, dispatches, p50Ms, p95Ms, totalMs } of decode) {
    const sum = sums.get(kernel) ?? { dispatches: 0, p50: 0, p95: 0, total: 0 };
    sum.dispatches += dispatches;
    sum.p50 += p50Ms;
    sum.p95 += p95Ms;
    sum.total += totalMs;
    sums.set(kernel, sum);
  }
  const all = [...sums.values()].reduce((sum, { total }) => sum + total, 0);
  return [...sums]
    .sort(([, a], [, b]) => b.total - a.total)
    .map(([kernel, { dispatches, p50, p95, total }]) => [
      kernel,
      formatCount(dispatches / Math.max(steps, 1)),
      formatTime(p50),
      formatTime(p95),
      formatShare(all > 0 ? total / all : 0),
    ]);
}

function note(data: KernelsData | undefined): string {
  if (data === undefined) return "No run yet.";
  if (data.unavailable !== undefined) return data.unavailable;
  if (data.steps === 0) return "No decode step has been timed yet.";
  const quantum = formatTime(data.quantumNs / 1e6);
  const steps = `${formatCount(data.steps)} decode ${data.steps === 1 ? "step" : "steps"} timed`;
  return `${steps}. Timestamps differ by at least ${quantum}: shorter times are not measured singly.`;
}
