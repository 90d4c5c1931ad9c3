import { entryAt } from "../profile/entry-at.ts";
import { fitCanvas } from "./canvas.ts";
import { ChartElement } from "./chart-element.ts";
import { formatBytes, formatMiB, formatTime } from "./format.ts";
import { fillRows, html, setAttributes, setText, svg, twinTable } from "./nodes.ts";
import type { PaletteName } from "./palette.ts";
import {
  bandPeaks,
  bands,
  describe,
  mostOf,
  peaksByColumn,
  phaseGroups,
  type TimelineData,
} from "./timeline-data.ts";

const CSS = `
.stage { touch-action: pan-y; cursor: crosshair; }
canvas { height: var(--zig-timeline-height, 16rem); }
.overlay { position: absolute; inset: 0; height: 100%; pointer-events: none; }
.cursor { stroke: var(--_ink); }
.brush { fill: var(--_accent); fill-opacity: 0.15; stroke: var(--_accent); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; padding-bottom: 4px; }
.readout { min-height: 1.4em; padding-top: 4px; }
`;

const BAND = 20;
const FONT = "13px ui-sans-serif, system-ui, sans-serif";

const PHASE_COLOURS: Readonly<Record<string, PaletteName>> = {
  load: "weights",
  prefill: "edge",
  compress: "accent",
  decode: "activations",
};

/**
 * `zig-timeline`: the ledger over time, stacked, with bands for the phases, a line at the peak and a
 * dashed one for what a full cache would take. Click, drag or the arrow keys set the moment; Shift and
 * drag zooms in, `+` and `-` zoom round the moment, Escape shows all. Fires `zig-moment` with
 * `{ at }` in ms.
 */
export class ZigTimeline extends ChartElement<TimelineData> {
  readonly #stage = html("div", { class: "stage", role: "slider", tabindex: 0 });
  readonly #canvas = html("canvas", { "aria-hidden": "true" });
  readonly #cursor = svg("line", { class: "cursor", y1: 0, y2: "100%" });
  readonly #brush = svg("rect", { class: "brush", y: 0, height: "100%", width: 0 });
  readonly #legend = html("p", { class: "legend" });
  readonly #readout = html("p", { class: "readout" });
  readonly #twin = twinTable("GPU memory at the chosen moment", ["Category", "Now", "Peak"]);
  #view: readonly [start: number, end: number] | undefined;
  #at: number | undefined;
  #brushFrom: number | undefined;
  /** Most bytes of each band and in all, and with a full cache, of the data that was measured last. */
  #peaks: readonly number[] = [];
  #fullPeak = 0;
  #measured: TimelineData | undefined;
  #drawn: { readonly data: TimelineData; readonly key: string } | undefined;
  readonly #resize: ResizeObserver;

  constructor() {
    super(CSS);
    const overlay = svg("svg", { class: "overlay", "aria-hidden": "true" });
    overlay.append(this.#brush, this.#cursor);
    this.#stage.append(this.#canvas, overlay);
    this.root.append(this.#legend, this.#stage, this.#readout, this.#twin.element);
    setAttributes(this.#stage, { "aria-label": "GPU memory over time" });
    this.#resize = new ResizeObserver(() => this.#redraw());
    this.#stage.addEventListener("pointerdown", (event) => this.#press(event));
    this.#stage.addEventListener("pointermove", (event) => this.#drag(event));
    this.#stage.addEventListener("pointerup", (event) => this.#release(event));
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

  /** The moment, in ms; undefined follows the end. */
  get at(): number | undefined {
    return this.#at;
  }

  set at(at: number | undefined) {
    this.#at = at;
    this.requestRender();
  }

  protected render(data: TimelineData | undefined): void {
    const [start, end] = this.#range();
    const at = this.#at ?? data?.end ?? 0;
    const percent = (time: number): string =>
      `${((100 * (time - start)) / Math.max(end - start, 1e-9)).toFixed(3)}%`;
    setAttributes(this.#cursor, { x1: percent(at), x2: percent(at) });
    if (data !== undefined) {
      this.#draw(data, start, end);
      this.#renderTwin(data);
    }
    const text = data === undefined ? "Nothing has been recorded yet." : describe(data, at);
    setText(this.#readout, text);
    setAttributes(this.#stage, {
      "aria-valuemin": 0,
      "aria-valuemax": data?.end ?? 0,
      "aria-valuenow": at,
      "aria-valuetext": text,
    });
  }

  #range(): readonly [start: number, end: number] {
    return this.#view ?? [0, Math.max(this.data?.end ?? 0, 1)];
  }

  /** Paints only when what is to be seen has changed: moving the cursor does not. */
  #draw(data: TimelineData, start: number, end: number): void {
    const key = `${start},${end},${this.#canvas.clientWidth},${matchMedia("(prefers-color-scheme: dark)").matches}`;
    if (this.#drawn?.data === data && this.#drawn.key === key) return;
    // A run may have a hundred thousand entries: what only they decide outlives a change of the view.
    if (this.#measured !== data) {
      this.#measured = data;
      this.#peaks = bandPeaks(data);
      this.#fullPeak = mostOf(data.full);
    }
    this.#drawn = { data, key };
    const { context, width, height } = fitCanvas(this.#canvas);
    const colours = this.colours();
    const plot = { start, end, width, top: BAND + 4, bottom: height - BAND };
    const peak = this.#peaks.at(-1) ?? 0;
    const top = Math.max(peak, this.#fullPeak, 1) * 1.06;
    const y = (bytes: number): number => plot.bottom - ((plot.bottom - plot.top) * bytes) / top;
    const x = (time: number): number => (width * (time - start)) / (end - start);
    const columns = peaksByColumn(data, plot.start, plot.end, Math.ceil(width));
    for (let from = 0; from < columns.length;) {
      const entry = columns[from] as number;
      let to = from + 1;
      while (to < columns.length && columns[to] === entry) to++;
      let below = 0;
      for (const { colour, bytes } of data.series) {
        const value = entry < 0 ? 0 : (bytes[entry] as number);
        if (value > 0) {
          context.fillStyle = colours[colour];
          context.fillRect(from, y(below + value), to - from, y(below) - y(below + value));
        }
        below += value;
      }
      from = to;
    }
    context.font = FONT;
    context.lineWidth = 1;
    this.#drawPhases(context, data, colours, x, width);
    context.strokeStyle = colours.ink;
    context.setLineDash([6, 4]);
    context.beginPath();
    columns.forEach((entry, column) => {
      const level = y(entry < 0 ? 0 : (data.full[entry] as number));
      if (column === 0) context.moveTo(column, level);
      else context.lineTo(column, level);
    });
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(0, Math.round(y(peak)) + 0.5);
    context.lineTo(width, Math.round(y(peak)) + 0.5);
    context.stroke();
    context.fillStyle = colours.ink;
    context.textBaseline = "bottom";
    context.fillText(`peak ${formatMiB(peak)}`, 4, y(peak) - 2);
    context.textBaseline = "alphabetic";
    context.fillStyle = colours["ink-soft"];
    context.fillText(formatTime(start), 0, height - 4);
    context.textAlign = "right";
    context.fillText(formatTime(end), width, height - 4);
    context.textAlign = "left";
    this.#renderLegend(data);
  }

  #drawPhases(
    context: CanvasRenderingContext2D,
    data: TimelineData,
    colours: Record<PaletteName, string>,
    x: (time: number) => number,
    width: number,
  ): void {
    for (const { name, start, end } of data.phases) {
      const [from, to] = [Math.max(x(start), 0), Math.min(x(end), width)];
      if (to < 0 || from > width) continue;
      context.fillStyle = colours[PHASE_COLOURS[name] ?? "edge"];
      context.fillRect(from, BAND - 4, Math.max(to - from, 0.5), 4);
    }
    // One word for each run of phases that is wide enough for it.
    context.fillStyle = colours["ink-soft"];
    let labelled = -Infinity;
    for (const group of phaseGroups(data)) {
      const from = Math.max(x(group.start), 0);
      const text = group.name;
      const wide = context.measureText(text).width;
      if (from < labelled || Math.min(x(group.end), width) - from < wide + 4) continue;
      context.fillText(text, from, BAND - 7);
      labelled = from + wide + 8;
    }
  }

  #renderLegend(data: TimelineData): void {
    const names = data.series.map(({ label }) => label).join();
    if (this.#legend.dataset["names"] === names) return;
    this.#legend.dataset["names"] = names;
    const key = (colour: PaletteName, label: string): HTMLElement => {
      const swatch = svg("svg", { class: "swatch", "aria-hidden": "true" });
      swatch.append(svg("rect", { class: `colour-${colour}`, width: "100%", height: "100%" }));
      return html("span", {}, swatch, label);
    };
    this.#legend.replaceChildren(
      ...data.series.map(({ colour, label }) => key(colour, label)),
      html("span", { class: "soft" }, "Dashed: with a full cache"),
    );
  }

  #renderTwin(data: TimelineData): void {
    const i = entryAt(data.times, this.#at ?? data.end);
    const rows = bands(data).map(({ label, bytes }, at) => [
      label,
      formatBytes(bytes[i] ?? 0),
      formatBytes(this.#peaks[at] ?? 0),
    ]);
    fillRows(this.#twin.body, rows);
  }

  #redraw(): void {
    this.#drawn = undefined;
    this.requestRender();
  }

  #timeOf(event: PointerEvent): number {
    const { left, width } = this.#stage.getBoundingClientRect();
    const [start, end] = this.#range();
    const share = Math.min(Math.max((event.clientX - left) / width, 0), 1);
    return start + share * (end - start);
  }

  #press(event: PointerEvent): void {
    this.#stage.setPointerCapture(event.pointerId);
    if (event.shiftKey) this.#brushFrom = this.#timeOf(event);
    else this.#moveTo(this.#timeOf(event));
  }

  #drag(event: PointerEvent): void {
    if (event.buttons === 0) return;
    const to = this.#timeOf(event);
    if (this.#brushFrom === undefined) return this.#moveTo(to);
    const [start, end] = this.#range();
    const percent = (time: number): number => (100 * time) / (end - start);
    setAttributes(this.#brush, {
      x: `${percent(Math.min(this.#brushFrom, to) - start)}%`,
      width: `${percent(Math.abs(to - this.#brushFrom))}%`,
    });
  }

  #release(event: PointerEvent): void {
    const from = this.#brushFrom;
    if (from === undefined) return;
    const to = this.#timeOf(event);
    this.#brushFrom = undefined;
    setAttributes(this.#brush, { width: 0 });
    if (Math.abs(to - from) > 0.001) this.#zoom([Math.min(from, to), Math.max(from, to)]);
  }

  #zoom(view: readonly [number, number] | undefined): void {
    this.#view = view;
    this.requestRender();
  }

  #moveTo(at: number): void {
    this.at = at;
    this.announce("zig-moment", { at });
  }

  #key(event: KeyboardEvent): void {
    const data = this.data;
    if (data === undefined) return;
    const [start, end] = this.#range();
    const at = this.#at ?? data.end;
    const half = (end - start) / 2;
    const step = (end - start) / 100;
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: at - step,
      ArrowDown: at - step,
      ArrowRight: at + step,
      ArrowUp: at + step,
      PageDown: at - 10 * step,
      PageUp: at + 10 * step,
      Home: 0,
      End: data.end,
    };
    const to = moves[event.key];
    if (to !== undefined) this.#moveTo(Math.min(Math.max(to, 0), data.end));
    else if (event.key === "+") this.#zoom([at - half / 2, at + half / 2]);
    else if (event.key === "-" || event.key === "Escape") this.#zoom(undefined);
    else return;
    event.preventDefault();
  }
}
