import { entryAt } from "../profile/entry-at.ts";
import { ChartElement } from "./chart-element.ts";
import { formatBytes, formatTime } from "./format.ts";
import { fillRows, html, setAttributes, setText, svg, twinTable } from "./nodes.ts";
import type { PaletteName } from "./palette.ts";
import { bandPeaks, bands, describe, mostOf, type TimelineData } from "./timeline-data.ts";
import { drawTimeline } from "./timeline-drawing.ts";
import { followed, movedMoment, selected, type TimeRange, zoomed } from "./timeline-range.ts";

const CSS = `
.stage { touch-action: pan-y; cursor: crosshair; }
canvas { height: var(--zig-timeline-height, 16rem); }
.overlay { position: absolute; inset: 0; height: 100%; pointer-events: none; }
.cursor { stroke: var(--_ink); }
.brush { fill: var(--_accent); fill-opacity: 0.15; stroke: var(--_accent); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; padding-bottom: 4px; }
.readout { min-height: 1.4em; padding-top: 4px; }
`;

/**
 * `zig-timeline`: the ledger over time, stacked, with bands for the phases, a line at the peak and a
 * dashed one for what a full cache would take. Click, drag or the arrow keys set the moment. Shift and
 * drag selects a stretch and shows only that (by keys: Shift and arrows, then Enter); `+` and `-` zoom
 * round the moment, Escape shows all. Fires `zig-moment` with `{ at }` in ms.
 */
export class ZigTimeline extends ChartElement<TimelineData> {
  readonly #stage = html("div", { class: "stage", role: "slider", tabindex: 0 });
  readonly #canvas = html("canvas", { "aria-hidden": "true" });
  readonly #cursor = svg("line", { class: "cursor", y1: 0, y2: "100%" });
  readonly #brush = svg("rect", { class: "brush", y: 0, height: "100%", width: 0 });
  readonly #legend = html("p", { class: "legend" });
  readonly #readout = html("p", { class: "readout" });
  readonly #twin = twinTable("GPU memory at the chosen moment", ["Category", "Now", "Peak"]);
  #view: TimeRange | undefined;
  #at: number | undefined;
  /** Where a selection began, and how far it reaches. */
  #selection: readonly [from: number, to: number] | undefined;
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
    this.#stage.addEventListener("pointerup", () => this.#release());
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
    const [from, to] = this.#selection ?? [0, 0];
    setAttributes(this.#brush, {
      x: percent(Math.min(from, to)),
      width: percent(start + Math.abs(to - from)),
    });
    if (data !== undefined) {
      this.#draw(data, start, end);
      this.#renderTwin(data);
    }
    const text = data === undefined ? "Nothing has been recorded yet." : this.#describe(data, at);
    setText(this.#readout, text);
    setAttributes(this.#stage, {
      "aria-valuemin": 0,
      "aria-valuemax": data?.end ?? 0,
      "aria-valuenow": at,
      "aria-valuetext": text,
    });
  }

  #range(): TimeRange {
    const last = this.data?.end ?? 0;
    // A view may be of a longer run that was shown before.
    if (this.#view !== undefined && this.#view[1] > last) this.#view = undefined;
    return this.#view ?? [0, Math.max(last, 1)];
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
    const most = { peak: this.#peaks.at(-1) ?? 0, full: this.#fullPeak };
    drawTimeline(this.#canvas, data, [start, end], most, this.colours());
    this.#renderLegend(data);
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

  #describe(data: TimelineData, at: number): string {
    if (this.#selection === undefined) return describe(data, at);
    const [from, to] = this.#selection.toSorted((a, b) => a - b) as [number, number];
    return `${formatTime(from)} to ${formatTime(to)} selected: Enter shows only that, Escape lets go of it.`;
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
    const at = this.#timeOf(event);
    if (event.shiftKey) this.#select([at, at]);
    else this.#moveTo(at);
  }

  #drag(event: PointerEvent): void {
    if (event.buttons === 0) return;
    const to = this.#timeOf(event);
    if (this.#selection === undefined) this.#moveTo(to);
    else this.#select([this.#selection[0], to]);
  }

  #release(): void {
    if (this.#selection !== undefined) this.#zoomToSelection();
  }

  #select(selection: readonly [from: number, to: number] | undefined): void {
    this.#selection = selection;
    this.requestRender();
  }

  #zoomToSelection(): void {
    const [from, to] = this.#selection ?? [0, 0];
    this.#select(undefined);
    const range = selected(from, to);
    if (range !== undefined) this.#view = range;
  }

  #moveTo(at: number): void {
    if (this.#view !== undefined) this.#view = followed(this.#view, at);
    this.at = at;
    this.announce("zig-moment", { at });
  }

  #key(event: KeyboardEvent): void {
    const data = this.data;
    if (data === undefined) return;
    const at = this.#at ?? data.end;
    const to = movedMoment(event.key, at, this.#range(), data.end);
    if (to !== undefined) {
      this.#select(event.shiftKey ? [this.#selection?.[0] ?? at, to] : undefined);
      this.#moveTo(to);
    } else if (event.key === "Enter") this.#zoomToSelection();
    else if (event.key === "+") this.#view = zoomed(this.#range(), at, 1 / 2, data.end);
    else if (event.key === "-") this.#view = zoomed(this.#range(), at, 2, data.end);
    else if (event.key === "Escape") {
      if (this.#selection === undefined) this.#view = undefined;
      this.#select(undefined);
    } else return;
    event.preventDefault();
    this.requestRender();
  }
}
