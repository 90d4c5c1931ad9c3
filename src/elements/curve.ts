import { ChartElement } from "./chart-element.ts";
import { fillRows, html, setAttributes, setText, svg, twinTable } from "./nodes.ts";
import type { PaletteName } from "./palette.ts";

/** One line of `zig-curve`. */
export interface CurveSeries {
  readonly label: string;
  /** Ascending in x; all values above zero. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What `zig-curve` shows: both axes are logarithmic. */
export interface CurveData {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly CurveSeries[];
  /** The line that is drawn strong. */
  readonly chosen?: string;
  /** An x that is marked. */
  readonly at?: number;
}

const CSS = `
.plot { height: var(--zig-curve-height, 12rem); border-left: 1px solid var(--_edge); border-bottom: 1px solid var(--_edge); }
.plot path { fill: none; }
path { stroke: currentColor; stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.chosen { stroke-width: 3px; }
.at { stroke: var(--_ink); stroke-dasharray: 4 3; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 4px 0; }
.axis { display: flex; justify-content: space-between; color: var(--_ink-soft); }
.key { width: 28px; height: 12px; display: inline-block; margin-right: 6px; vertical-align: -1px; }
.dash1 { stroke-dasharray: 8 4; }
.dash2 { stroke-dasharray: 2 3; }
.dash3 { stroke-dasharray: 10 3 2 3; }
.dash4 { stroke-dasharray: 4 2; }
.dash5 { stroke-dasharray: 1 4; }
`;

const COLOURS: readonly PaletteName[] = [
  "accent",
  "activations",
  "warning",
  "staging",
  "uniforms",
  "weights",
];

/** `zig-curve`: lines over a logarithmic plane, such as what a budget costs in quality. */
export class ZigCurve extends ChartElement<CurveData> {
  readonly #yLabel = html("p", { class: "soft" });
  readonly #plot = svg("svg", {
    class: "plot",
    viewBox: "0 0 1000 100",
    preserveAspectRatio: "none",
    role: "img",
  });
  readonly #least = html("span");
  readonly #xLabel = html("span");
  readonly #most = html("span");
  readonly #legend = html("p", { class: "legend" });
  readonly #twin = twinTable("The figures of the curves", ["Line", "x", "y"]);

  constructor() {
    super(CSS);
    const axis = html("p", { class: "axis" }, this.#least, this.#xLabel, this.#most);
    this.root.append(this.#yLabel, this.#plot, axis, this.#legend, this.#twin.element);
  }

  protected render(data: CurveData | undefined): void {
    const { series = [], chosen, at, xLabel = "", yLabel = "Nothing measured yet." } = data ?? {};
    const points = series.flatMap((one) => one.points);
    const [x0, x1] = span(points.map(([x]) => x));
    const [y0, y1] = span(points.map(([, y]) => y));
    const x = (value: number): number => 1000 * share(value, x0, x1);
    const y = (value: number): number => 97 - 94 * share(value, y0, y1);
    const lines = series.map((one, index) => {
      const path = one.points
        .map(([px, py], i) => `${i === 0 ? "M" : "L"}${x(px).toFixed(1)},${y(py).toFixed(2)}`)
        .join("");
      return line(index, path, one.label === chosen);
    });
    const isMarked = at !== undefined && at >= x0 && at <= x1 && points.length > 0;
    const mark = isMarked ? [svg("path", { class: "at", d: `M${x(at).toFixed(1)},0v100` })] : [];
    this.#plot.replaceChildren(...lines, ...mark);
    setAttributes(this.#plot, {
      "aria-label": `${yLabel} over ${xLabel}; a table has the figures`,
    });
    const range = points.length > 0 ? `, ${figure(y0)} to ${figure(y1)}` : "";
    setText(this.#yLabel, `${yLabel}${range}`);
    setText(this.#xLabel, xLabel);
    setText(this.#least, points.length > 0 ? figure(x0) : "");
    setText(this.#most, points.length > 0 ? figure(x1) : "");
    this.#legend.replaceChildren(
      ...series.map(({ label }, index) => {
        const key = svg("svg", { class: "key", viewBox: "0 0 28 12", "aria-hidden": "true" });
        key.append(line(index, "M0,6h28", label === chosen));
        return html("span", {}, key, label);
      }),
    );
    fillRows(
      this.#twin.body,
      series.flatMap(({ label, points: own }) =>
        own.map(([px, py]) => [label, figure(px), figure(py)]),
      ),
    );
  }
}

function line(index: number, path: string, isChosen: boolean): SVGPathElement {
  const at = index % COLOURS.length;
  const name = `colour-${COLOURS[at]} dash${at}${isChosen ? " chosen" : ""}`;
  return svg("path", { class: name, d: path });
}

function span(values: readonly number[]): readonly [least: number, most: number] {
  if (values.length === 0) return [1, 2];
  return [Math.min(...values), Math.max(...values)];
}

function share(value: number, least: number, most: number): number {
  return most > least ? Math.log(value / least) / Math.log(most / least) : 0.5;
}

/** Three digits that count. */
function figure(value: number): string {
  return String(Number(value.toPrecision(3)));
}
