import { ChartElement } from "./chart-element.ts";
import { formatMiB, formatShare } from "./format.ts";
import { html, setAttributes, setText, svg } from "./nodes.ts";

/** What `zig-meter` shows, in allocated bytes; `engine.memory().kv` fits. */
export interface MeterData {
  readonly allocated: number;
  /** What a full cache would have allocated for the same tokens. */
  readonly full: number;
  /** Most bytes so far. */
  readonly peak: number;
  /** While a prompt is read: the layers that have it, and a full cache in as many. */
  readonly read?: { readonly bytes: number; readonly fullBytes: number };
}

const CSS = `
.stage { height: 16px; }
svg { height: 100%; }
.full { fill: none; stroke: var(--_edge); }
.now { fill: var(--_accent); }
.peak { stroke: var(--_ink); stroke-width: 2px; }
dl { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0 12px; padding-bottom: 4px; }
:host([narrow]) dl { grid-template-columns: repeat(2, minmax(0, 1fr)); }
dt { color: var(--_ink-soft); }
dd { white-space: nowrap; }
.saved dd { color: var(--_accent); font-weight: 600; }
@media (max-width: 30rem) { dl { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (prefers-reduced-motion: no-preference) { .now { transition: width 160ms ease-out; } }
`;

const FIGURES = [
  ["allocated", "Allocated now"],
  ["full", "Full cache"],
  ["saved", "Saved"],
  ["peak", "Peak"],
] as const;

/**
 * `zig-meter`: the KV cache against a full one for the same tokens. Filled: allocated now; outline:
 * the full cache; tick: the peak. Attribute `narrow` sets the figures in two columns.
 */
export class ZigMeter extends ChartElement<MeterData> {
  readonly #stage = html("div", {
    class: "stage",
    role: "meter",
    "aria-label": "KV cache",
    "aria-valuemin": 0,
    "aria-valuenow": 0,
  });
  readonly #full = svg("rect", { class: "full", x: 0.5, y: 0.5, height: "calc(100% - 1px)" });
  readonly #now = svg("rect", { class: "now", height: "100%" });
  readonly #peak = svg("line", { class: "peak", y1: "0", y2: "100%" });
  readonly #figures = new Map(FIGURES.map(([name]) => [name, html("dd")]));

  constructor() {
    super(CSS);
    const list = html(
      "dl",
      {},
      ...FIGURES.map(([name, label]) =>
        html("div", { class: name }, html("dt", {}, label), this.#figures.get(name) as HTMLElement),
      ),
    );
    this.#stage.append(svg("svg", { "aria-hidden": "true" }, this.#full, this.#now, this.#peak));
    this.root.append(list, this.#stage);
  }

  protected render(data: MeterData | undefined): void {
    const { allocated, full, peak } = data ?? { allocated: 0, full: 0, peak: 0 };
    const scale = Math.max(allocated, full, peak, 1);
    const percent = (bytes: number): string => `${((100 * bytes) / scale).toFixed(3)}%`;
    setAttributes(this.#full, { width: percent(full) });
    setAttributes(this.#now, { width: percent(allocated) });
    setAttributes(this.#peak, {
      ...{ x1: percent(peak), x2: percent(peak) },
      visibility: peak === 0 ? "hidden" : "visible",
    });
    setAttributes(this.#stage, {
      "aria-valuemax": scale,
      "aria-valuenow": allocated,
      "aria-valuetext": data === undefined ? "nothing yet" : describe(data),
    });
    const texts = data === undefined ? undefined : figures(data);
    for (const [name, place] of this.#figures) setText(place, texts?.[name] ?? "–");
  }
}

function figures(data: MeterData): Record<(typeof FIGURES)[number][0], string> {
  const { allocated, full, peak, read } = data;
  return {
    allocated: formatMiB(allocated),
    full: formatMiB(full),
    // Layers that have no room yet are no saving.
    saved:
      read === undefined
        ? savedText(allocated, full)
        : savedText(read.bytes, read.fullBytes, "so far"),
    peak: formatMiB(peak),
  };
}

function savedText(bytes: number, full: number, when: string = ""): string {
  if (bytes >= full) return "nothing yet";
  return `${formatMiB(full - bytes)} (${formatShare(1 - bytes / full)}) ${when}`.trimEnd();
}

function describe(data: MeterData): string {
  const { allocated, full, saved, peak } = figures(data);
  return `${allocated} allocated of ${full} for a full cache; saved ${saved}; peak ${peak}`;
}
