import { ChartElement, movedByKey } from "./chart-element.ts";
import { fillRows, html, setAttributes, setText, svg, twinTable } from "./nodes.ts";
import { type PyramidData, terracesOf } from "./pyramid-data.ts";
import {
  between,
  distance,
  LAYER_HEIGHT,
  type Part,
  PARTS,
  pathOf,
  type Terrace,
  WIDTH,
} from "./pyramid-shape.ts";
import { describe, summary, TWIN_HEADINGS, twinRow } from "./pyramid-text.ts";

const CSS = `
.stage { height: var(--zig-pyramid-height, 15rem); }
.stage svg { height: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; padding-bottom: 4px; color: var(--_ink-soft); }
.legend[hidden] { display: none; }
.full { fill: none; stroke: var(--_edge); }
.working { fill: none; stroke: var(--_accent); stroke-dasharray: 4 3; }
.room { fill: color-mix(in srgb, var(--_accent) 28%, transparent); }
.kept { fill: var(--_accent); }
.added { fill: var(--_values); }
.budget { fill: none; stroke: var(--_ink); }
.cursor { fill: none; stroke: var(--_ink); }
.full, .working, .budget, .cursor { vector-effect: non-scaling-stroke; stroke-width: 1px; }
.readout { min-height: calc(4.2em + 4px); padding-top: 4px; }
`;

/** How long a terrace is carved. */
const CARVE_MS = 240;

/** Smaller changes, such as rows that an answer appends, are shown at once: they need no motion. */
const LEAST_MOTION = 0.02 * WIDTH;

/** What the colours stand for, by the class that draws them. */
const KEYS: readonly (readonly [part: string, label: string])[] = [
  ["kept", "kept of the prompt"],
  ["added", "generated since"],
  ["room", "room to spare"],
  ["full", "full cache"],
];

/**
 * `zig-pyramid`: the cache seen from the side, layer 0 at the bottom. Each terrace is as wide as its
 * rows: those kept of the prompt, at its sides those generated since, then spare ones; ticks are its
 * budget, the hairline block behind is the full cache. Attributes: `unit` (`tokens`, or `bytes`),
 * `scale` (`linear`, or `log`), `legend` (there or not). Pointing at a terrace, or the arrow keys, give
 * its exact figures and fire `zig-layer` with `{ layer }`.
 */
export class ZigPyramid extends ChartElement<PyramidData> {
  static readonly observedAttributes: readonly string[] = ["unit", "scale", "legend"];
  readonly #stage = html("div", { class: "stage", role: "slider", tabindex: 0 });
  readonly #paths: Readonly<Record<Part, SVGPathElement>> = {
    room: svg("path", { class: "room" }),
    added: svg("path", { class: "added" }),
    kept: svg("path", { class: "kept" }),
    budget: svg("path", { class: "budget" }),
  };
  readonly #full = svg("rect", { class: "full", x: 0.5, y: 0.5 });
  readonly #working = svg("rect", { class: "working", height: LAYER_HEIGHT - 1 });
  readonly #cursor = svg("rect", { class: "cursor", height: LAYER_HEIGHT });
  readonly #svg = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  readonly #legend = html("p", { class: "legend", "aria-hidden": "true" });
  readonly #readout = html("p", { class: "readout" });
  readonly #twin = twinTable("Rows of the KV cache per layer", TWIN_HEADINGS);
  #at: number | undefined;
  /** What is drawn now, and what it is on its way to since a moment. */
  #shape: readonly Terrace[] = [];
  #carving = { from: this.#shape, to: this.#shape, since: 0, frame: 0 };

  constructor() {
    super(CSS);
    const parts = PARTS.map((part) => this.#paths[part]);
    this.#svg.append(this.#full, ...parts, this.#working, this.#cursor);
    this.#stage.append(this.#svg);
    for (const [part, label] of KEYS) {
      const swatch = svg("svg", { class: "swatch" });
      swatch.append(svg("rect", { class: part, width: "100%", height: "100%" }));
      this.#legend.append(html("span", {}, swatch, label));
    }
    this.#legend.append(html("span", {}, "ticks: budget"));
    this.root.append(this.#legend, this.#stage, this.#readout, this.#twin.element);
    setAttributes(this.#stage, {
      "aria-label": "Layers of the KV cache",
      "aria-orientation": "vertical",
    });
    this.#stage.addEventListener("pointermove", (event) => this.#point(event));
    this.#stage.addEventListener("pointerleave", () => {
      if (!this.#stage.matches(":focus-visible")) this.#moveTo(undefined);
    });
    this.#stage.addEventListener("focus", () => this.#moveTo(this.#at ?? 0));
    this.#stage.addEventListener("blur", () => this.#moveTo(undefined));
    this.#stage.addEventListener("keydown", (event) => {
      const last = (this.data?.layers.length ?? 0) - 1;
      const to = movedByKey(event.key, this.#at ?? 0, last, 5);
      if (to === undefined || last < 0) return;
      event.preventDefault();
      this.#moveTo(to);
    });
  }

  protected render(data: PyramidData | undefined): void {
    const layers = data?.layers ?? [];
    const count = layers.length;
    setAttributes(this.#svg, { viewBox: `0 0 ${WIDTH} ${Math.max(count, 1) * LAYER_HEIGHT}` });
    const { shape, full } = terracesOf(
      data,
      this.getAttribute("unit") === "bytes",
      this.getAttribute("scale") === "log",
    );
    this.#carve(shape);
    const place = (rect: Element, width: number, y: number): void =>
      setAttributes(rect, { x: (WIDTH - width) / 2, y, width });
    place(this.#full, full, 0.5);
    setAttributes(this.#full, { height: Math.max(0, count * LAYER_HEIGHT - 1) });
    const working = data?.workingLayer ?? -1;
    place(this.#working, working >= 0 ? full : 0, (count - 1 - working) * LAYER_HEIGHT + 0.5);
    this.#renderCursor(data);
    this.#legend.hidden = !this.hasAttribute("legend");
    fillRows(
      this.#twin.body,
      layers.map((layer, at) => twinRow(layer, at, data?.tokens ?? 0)),
    );
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    cancelAnimationFrame(this.#carving.frame);
    this.#carving.frame = 0;
    this.#paint(this.#carving.to);
  }

  /** Bring the terraces to a shape, in motion where there is something to see and it is welcome. */
  #carve(to: readonly Terrace[]): void {
    const isCalm =
      this.#shape.length !== to.length ||
      distance(this.#carving.to, to) < LEAST_MOTION ||
      matchMedia("(prefers-reduced-motion: reduce)").matches;
    const isUnderWay = this.#carving.frame !== 0;
    if (isCalm && !isUnderWay) {
      this.#carving = { from: to, to, since: 0, frame: 0 };
      return this.#paint(to);
    }
    if (isCalm) {
      this.#carving = { ...this.#carving, to };
      return;
    }
    cancelAnimationFrame(this.#carving.frame);
    const step = (): void => {
      const { from, to: goal, since } = this.#carving;
      const share = Math.min((performance.now() - since) / CARVE_MS, 1);
      this.#paint(between(from, goal, share));
      this.#carving.frame = share < 1 ? requestAnimationFrame(step) : 0;
    };
    const frame = requestAnimationFrame(step);
    this.#carving = { from: this.#shape, to, since: performance.now(), frame };
  }

  #paint(shape: readonly Terrace[]): void {
    this.#shape = shape;
    for (const part of PARTS) setAttributes(this.#paths[part], { d: pathOf(shape, part) });
  }

  #renderCursor(data: PyramidData | undefined): void {
    const count = data?.layers.length ?? 0;
    const at = this.#at === undefined || count === 0 ? undefined : Math.min(this.#at, count - 1);
    const y = at === undefined ? 0 : (count - 1 - at) * LAYER_HEIGHT;
    setAttributes(this.#cursor, { x: 0.5, y, width: at === undefined ? 0 : WIDTH - 1 });
    const text = at === undefined ? summary(data) : describe(data as PyramidData, at);
    setText(this.#readout, text);
    setAttributes(this.#stage, {
      "aria-valuemin": 0,
      "aria-valuemax": Math.max(count - 1, 0),
      "aria-valuenow": at ?? 0,
      "aria-valuetext": text,
    });
  }

  #point(event: PointerEvent): void {
    const { top, height } = this.#stage.getBoundingClientRect();
    const count = this.data?.layers.length ?? 0;
    if (count === 0) return;
    const fromTop = Math.floor(((event.clientY - top) / height) * count);
    this.#moveTo(Math.min(Math.max(count - 1 - fromTop, 0), count - 1));
  }

  #moveTo(at: number | undefined): void {
    if (at === this.#at) return;
    this.#at = at;
    this.requestRender();
    if (at !== undefined) this.announce("zig-layer", { layer: at });
  }
}
