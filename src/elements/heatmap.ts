import { fitCanvas } from "./canvas.ts";
import { ChartElement } from "./chart-element.ts";
import { formatCount } from "./format.ts";
import { fillRows, html, setAttributes, setText, svg, twinTable } from "./nodes.ts";

/** What `zig-heatmap` shows. */
export interface HeatmapData {
  /** Positions kept, `[layer][KV head]`. */
  readonly kept: readonly (readonly (readonly number[])[])[];
  /** Tokens seen: positions run from 0 to this. */
  readonly tokens: number;
  /** First positions that always stay, and last ones of the prompt, coloured apart. */
  readonly sinks?: number;
  readonly window?: readonly [from: number, to: number];
  /** Show this layer's heads instead of all layers. */
  readonly layer?: number;
}

const CSS = `
canvas { height: var(--zig-heatmap-height, 15rem); background: color-mix(in srgb, var(--_line) 40%, transparent); image-rendering: pixelated; }
.overlay { position: absolute; inset: 0; height: 100%; pointer-events: none; }
.cursor { fill: none; stroke: var(--_ink); }
.readout { min-height: 2.8em; padding-top: 4px; }
`;

/** Rows of the map: how many heads keep each position. */
interface Row {
  readonly label: string;
  readonly counts: Uint16Array;
  readonly heads: number;
}

/**
 * `zig-heatmap`: which positions every layer keeps, layer 0 at the bottom; darker where more heads
 * keep one; sinks and window in colours of their own. With `layer` in the data, that layer's heads.
 * Arrow keys move the cursor; click or Enter fires `zig-cell` with `{ row, position }`.
 */
export class ZigHeatmap extends ChartElement<HeatmapData> {
  readonly #stage = html("div", { class: "stage", role: "slider", tabindex: 0 });
  readonly #canvas = html("canvas", { "aria-hidden": "true" });
  readonly #cursor = svg("rect", { class: "cursor", width: 0 });
  readonly #readout = html("p", { class: "readout" });
  readonly #twin = twinTable("Positions that the cache keeps", [
    "Row",
    "Kept rows of all heads",
    "By any head",
    "By every head",
  ]);
  #rows: readonly Row[] = [];
  #shown: HeatmapData | undefined;
  /** The theme that was drawn in: a canvas keeps its colours. */
  #isDark = false;
  #row = 0;
  #position = 0;
  #isActive = false;
  readonly #resize: ResizeObserver;

  constructor() {
    super(CSS);
    const overlay = svg("svg", { class: "overlay", "aria-hidden": "true" });
    overlay.append(this.#cursor);
    this.#stage.append(this.#canvas, overlay);
    this.root.append(this.#stage, this.#readout, this.#twin.element);
    setAttributes(this.#stage, { "aria-label": "Positions kept per layer" });
    this.#resize = new ResizeObserver(() => {
      this.#shown = undefined;
      this.requestRender();
    });
    this.#stage.addEventListener("pointermove", (event) => this.#point(event));
    this.#stage.addEventListener("pointerleave", () => this.#activate(false));
    this.#stage.addEventListener("focus", () => this.#activate(true));
    this.#stage.addEventListener("blur", () => this.#activate(false));
    this.#stage.addEventListener("click", () => this.#pick());
    this.#stage.addEventListener("keydown", (event) => this.#key(event));
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resize.observe(this.#canvas);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resize.disconnect();
  }

  protected render(data: HeatmapData | undefined): void {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (data !== this.#shown || isDark !== this.#isDark) {
      this.#shown = data;
      this.#isDark = isDark;
      this.#rows = rowsOf(data);
      this.#row = Math.min(this.#row, Math.max(this.#rows.length - 1, 0));
      this.#draw(data);
      fillRows(this.#twin.body, this.#rows.map(twinRow));
    }
    const count = Math.max(this.#rows.length, 1);
    const tokens = Math.max(data?.tokens ?? 0, 1);
    const percent = (value: number): string => `${(100 * value).toFixed(3)}%`;
    setAttributes(this.#cursor, {
      x: percent(this.#position / tokens),
      y: percent((count - 1 - this.#row) / count),
      width: this.#isActive ? percent(Math.max(1 / tokens, 0.004)) : 0,
      height: percent(1 / count),
    });
    const text = this.#isActive ? this.#describe(data) : summary(this.#rows, data);
    setText(this.#readout, text);
    setAttributes(this.#stage, {
      "aria-valuemin": 0,
      "aria-valuemax": Math.max(tokens - 1, 0),
      "aria-valuenow": this.#position,
      "aria-valuetext": text,
    });
  }

  #draw(data: HeatmapData | undefined): void {
    const { context, width, height } = fitCanvas(this.#canvas);
    if (data === undefined || this.#rows.length === 0) return;
    const colours = this.colours();
    const rowHeight = height / this.#rows.length;
    const columns = Math.ceil(width);
    const perColumn = data.tokens / columns;
    this.#rows.forEach(({ counts, heads }, row) => {
      const y = height - (row + 1) * rowHeight;
      for (let column = 0; column < columns; column++) {
        const from = Math.floor(column * perColumn);
        const to = Math.max(Math.floor((column + 1) * perColumn), from + 1);
        let sum = 0;
        for (let position = from; position < to; position++) sum += counts[position] ?? 0;
        if (sum === 0) continue;
        const isSink = from < (data.sinks ?? 0);
        const isWindow =
          data.window !== undefined && from >= data.window[0] && from < data.window[1];
        context.fillStyle = isSink
          ? colours.staging
          : isWindow
            ? colours.activations
            : colours.accent;
        // A kept position among many that are not has to stay visible.
        context.globalAlpha = 0.25 + 0.75 * Math.sqrt(sum / ((to - from) * heads));
        context.fillRect(column, y, 1, Math.max(rowHeight - 0.5, 0.5));
      }
    });
    context.globalAlpha = 1;
  }

  #describe(data: HeatmapData | undefined): string {
    const row = this.#rows[this.#row];
    if (data === undefined || row === undefined) return "No positions yet.";
    const kept = row.counts[this.#position] ?? 0;
    const by =
      row.heads === 1 ? (kept > 0 ? "kept" : "evicted") : `kept by ${kept} of ${row.heads} heads`;
    return `${row.label}, position ${formatCount(this.#position)}: ${by}.`;
  }

  #point(event: PointerEvent): void {
    const { left, top, width, height } = this.#stage.getBoundingClientRect();
    const tokens = this.data?.tokens ?? 0;
    if (this.#rows.length === 0 || tokens === 0) return;
    const fromTop = Math.floor(((event.clientY - top) / height) * this.#rows.length);
    this.#row = Math.min(Math.max(this.#rows.length - 1 - fromTop, 0), this.#rows.length - 1);
    const position = Math.floor(((event.clientX - left) / width) * tokens);
    this.#position = Math.min(Math.max(position, 0), tokens - 1);
    this.#activate(true);
  }

  #activate(isActive: boolean): void {
    this.#isActive = isActive || this.#stage.matches(":focus-visible");
    this.requestRender();
  }

  #pick(): void {
    if (this.#rows.length === 0) return;
    this.announce("zig-cell", { row: this.#row, position: this.#position });
  }

  #key(event: KeyboardEvent): void {
    const tokens = this.data?.tokens ?? 0;
    if (this.#rows.length === 0 || tokens === 0) return;
    const moves: Readonly<Record<string, readonly [row: number, position: number]>> = {
      ArrowUp: [1, 0],
      ArrowDown: [-1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      PageUp: [0, Math.ceil(tokens / 20)],
      PageDown: [0, -Math.ceil(tokens / 20)],
      Home: [0, -tokens],
      End: [0, tokens],
    };
    const move = moves[event.key];
    if (event.key === "Enter") this.#pick();
    if (move === undefined) return;
    event.preventDefault();
    this.#row = Math.min(Math.max(this.#row + move[0], 0), this.#rows.length - 1);
    this.#position = Math.min(Math.max(this.#position + move[1], 0), tokens - 1);
    this.#activate(true);
  }
}

function rowsOf(data: HeatmapData | undefined): Row[] {
  if (data === undefined) return [];
  const { kept, tokens, layer } = data;
  const count = (heads: readonly (readonly number[])[]): Uint16Array => {
    const counts = new Uint16Array(tokens);
    for (const positions of heads) {
      for (const position of positions) {
        if (position < tokens) counts[position] = (counts[position] as number) + 1;
      }
    }
    return counts;
  };
  if (layer === undefined) {
    return kept.map((heads, at) => ({
      label: `Layer ${at}`,
      counts: count(heads),
      heads: heads.length,
    }));
  }
  return (kept[layer] ?? []).map((positions, head) => ({
    label: `Layer ${layer}, head ${head}`,
    counts: count([positions]),
    heads: 1,
  }));
}

function tally({ counts, heads }: Row): { sum: number; any: number; every: number } {
  let [sum, any, every] = [0, 0, 0];
  for (const count of counts) {
    sum += count;
    if (count > 0) any++;
    if (count === heads) every++;
  }
  return { sum, any, every };
}

function twinRow(row: Row): string[] {
  const { sum, any, every } = tally(row);
  return [row.label, ...[sum, any, every].map(formatCount)];
}

function summary(rows: readonly Row[], data: HeatmapData | undefined): string {
  const first = rows[0];
  if (data === undefined || first === undefined) return "No positions yet.";
  const { sum, any, every } = tally(first);
  return (
    `${first.label} keeps ${formatCount(sum)} rows: ${formatCount(any)} of ` +
    `${formatCount(data.tokens)} positions in any head, ${formatCount(every)} in every head. ` +
    "Violet: first positions that always stay; green: the window."
  );
}
