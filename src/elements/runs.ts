import { ChartElement } from "./chart-element.ts";
import { formatCount, formatMiB } from "./format.ts";
import { fillRows, html, setAttributes, svg, twinTable } from "./nodes.ts";
import { LAYER_HEIGHT, WIDTH } from "./pyramid-shape.ts";
import type { PaletteName } from "./palette.ts";

/** One of the runs that `zig-runs` lays over each other. */
export interface OverlaidRun {
  readonly label: string;
  /** Rows in use per KV head, layer by layer. */
  readonly rows: readonly number[];
  /** Bytes from `times[i]` to `times[i + 1]`, in ms since the run began; the last until `end`. */
  readonly times: readonly number[];
  readonly bytes: readonly number[];
  readonly end: number;
}

/** What `zig-runs` shows: up to four runs. */
export interface RunsData {
  readonly runs: readonly OverlaidRun[];
}

const CSS = `
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 16px; }
figure { margin: 0; }
figcaption { padding-bottom: 4px; color: var(--_ink-soft); }
.plot { height: var(--zig-runs-height, 12rem); border-bottom: 1px solid var(--_line); }
.plot path { fill: none; }
path { stroke: currentColor; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.dash1 { stroke-dasharray: 8 4; }
.dash2 { stroke-dasharray: 2 3; }
.dash3 { stroke-dasharray: 10 3 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; padding-bottom: 8px; }
.key { width: 28px; height: 12px; display: inline-block; margin-right: 6px; vertical-align: -1px; }
`;

/** A colour and a dash for each: neither has to be told from the others alone. */
const COLOURS: readonly PaletteName[] = ["accent", "activations", "warning", "staging"];

/** Points of a line over time that anybody can tell apart. */
const COLUMNS = 400;

/**
 * `zig-runs`: runs over each other. Left, the outline of what each layer keeps, layer 0 at the bottom;
 * right, the bytes on the GPU since each run began. A run has the same colour and dash in both.
 */
export class ZigRuns extends ChartElement<RunsData> {
  readonly #legend = html("p", { class: "legend" });
  readonly #shapes = plot("Rows in use in each layer, runs over each other");
  readonly #times = plot("Bytes on the GPU over time, runs over each other");
  readonly #twin = twinTable("Runs over each other", [
    "Run",
    "Rows in layer 0",
    "Rows in the last layer",
    "Bytes at peak",
    "Bytes at the end",
  ]);

  constructor() {
    super(CSS);
    const figure = (caption: string, drawing: Element): HTMLElement =>
      html("figure", {}, html("figcaption", {}, caption), drawing);
    const plots = html(
      "div",
      { class: "plots" },
      figure("Rows in use, layer 0 at the bottom", this.#shapes),
      figure("GPU memory over time", this.#times),
    );
    this.root.append(this.#legend, plots, this.#twin.element);
  }

  protected render(data: RunsData | undefined): void {
    const runs = data?.runs ?? [];
    const layers = Math.max(1, ...runs.map(({ rows }) => rows.length));
    const widest = Math.max(1, ...runs.map(({ rows }) => most(rows)));
    const end = Math.max(1e-9, ...runs.map((run) => run.end));
    const top = Math.max(1, ...runs.map(({ bytes }) => most(bytes))) * 1.05;
    setAttributes(this.#shapes, { viewBox: `0 0 ${WIDTH} ${layers * LAYER_HEIGHT}` });
    setAttributes(this.#times, { viewBox: `0 0 ${COLUMNS} 100` });
    this.#shapes.replaceChildren(
      ...runs.map(({ rows }, at) => line(at, outline(rows, widest, layers))),
    );
    this.#times.replaceChildren(...runs.map((run, at) => line(at, staircase(run, end, top))));
    this.#legend.replaceChildren(
      ...runs.map(({ label }, at) => {
        const key = svg("svg", { class: "key", viewBox: "0 0 28 12", "aria-hidden": "true" });
        key.append(line(at, "M0,6h28"));
        return html("span", {}, key, label);
      }),
    );
    fillRows(
      this.#twin.body,
      runs.map(({ label, rows, bytes }) => [
        label,
        formatCount(rows[0] ?? 0),
        formatCount(rows.at(-1) ?? 0),
        formatMiB(most(bytes)),
        formatMiB(bytes.at(-1) ?? 0),
      ]),
    );
  }
}

function plot(label: string): SVGSVGElement {
  return svg("svg", {
    class: "plot",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
}

function line(at: number, path: string): SVGPathElement {
  const colour = COLOURS[at % COLOURS.length] as PaletteName;
  return svg("path", { class: `colour-${colour} dash${at % COLOURS.length}`, d: path });
}

function most(values: readonly number[]): number {
  return values.reduce((peak, value) => Math.max(peak, value), 0);
}

/** The sides of a ziggurat: up on the right, down on the left. */
function outline(rows: readonly number[], widest: number, layers: number): string {
  const half = (value: number): number => ((WIDTH - 4) * value) / widest / 2;
  const right = rows.map((value, layer) => {
    const bottom = (layers - layer) * LAYER_HEIGHT;
    return `L${(WIDTH / 2 + half(value)).toFixed(1)},${bottom}v${-LAYER_HEIGHT}`;
  });
  const left = rows
    .map((value, layer) => {
      const bottom = (layers - layer) * LAYER_HEIGHT;
      return `L${(WIDTH / 2 - half(value)).toFixed(1)},${bottom - LAYER_HEIGHT}v${LAYER_HEIGHT}`;
    })
    .toReversed();
  return rows.length === 0
    ? ""
    : `M${WIDTH / 2},${layers * LAYER_HEIGHT}${[...right, ...left].join("")}z`;
}

/** The most bytes of each column, so that no peak is lost. */
function staircase({ times, bytes, end: own }: OverlaidRun, end: number, top: number): string {
  let path = "";
  let next = 0;
  let level = 0;
  for (let column = 0; column < COLUMNS; column++) {
    const until = ((column + 1) * end) / COLUMNS;
    if ((column * end) / COLUMNS > own) break;
    let peak = level;
    for (; next < times.length && (times[next] as number) < until; next++) {
      level = bytes[next] as number;
      peak = Math.max(peak, level);
    }
    path += `${column === 0 ? "M" : "L"}${column},${(100 - (100 * peak) / top).toFixed(2)}h1`;
  }
  return path;
}
