import { PALETTE, paletteCss, type PaletteName } from "./palette.ts";

/** `HTMLElement`, or where there is none (Node) something that is never made. */
const ElementBase: typeof HTMLElement =
  (globalThis as { HTMLElement?: typeof HTMLElement }).HTMLElement ??
  (Object as unknown as typeof HTMLElement);

const COMMON_CSS = `
:host {
  ${paletteCss()}
  display: block;
  color: var(--_ink);
  font: 13px/1.4 var(--zig-words, ui-sans-serif, system-ui, sans-serif);
  font-variant-numeric: tabular-nums;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
p, dl, dd { margin: 0; }
svg, canvas { display: block; width: 100%; }
.soft { color: var(--_ink-soft); }
.twin {
  /* Out of sight, where browsers leave it to screen readers and lay nothing out. */
  position: fixed;
  top: 0;
  left: -100000px;
  contain-intrinsic-size: 1px 1px;
  content-visibility: auto;
  white-space: nowrap;
}
.stage { position: relative; }
.swatch { display: inline-block; width: 12px; height: 12px; margin-right: 4px; vertical-align: -1px; }
${Object.keys(PALETTE)
  .map((name) => `.colour-${name} { color: var(--_${name}); fill: var(--_${name}); }`)
  .join("\n")}
.stage:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
`;

const sheets = new Map<string, CSSStyleSheet>();

/** One sheet for all elements that share its text. */
function sheet(css: string): CSSStyleSheet {
  let made = sheets.get(css);
  if (made === undefined) {
    made = new CSSStyleSheet();
    made.replaceSync(css);
    sheets.set(css, made);
  }
  return made;
}

/**
 * Base of the chart elements: plain data in by the property `data`, drawn once a frame at most.
 * Styles are adopted sheets, so that a strict Content-Security-Policy holds.
 */
export abstract class ChartElement<Data> extends ElementBase {
  protected readonly root: ShadowRoot;
  #data: Data | undefined;
  #frame = 0;
  #theme: MediaQueryList | undefined;
  readonly #onTheme = (): void => this.requestRender();

  constructor(css: string) {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [sheet(COMMON_CSS), sheet(css)];
  }

  /** What is shown; replaced as a whole. Nothing given: the empty state. */
  get data(): Data | undefined {
    return this.#data;
  }

  set data(data: Data | undefined) {
    this.#data = data;
    this.requestRender();
  }

  /** @ignore the platform's */
  connectedCallback(): void {
    // Data that was given before the element was defined lies on the instance and hides the setter.
    if (Object.hasOwn(this, "data")) {
      const given = this.data;
      Reflect.deleteProperty(this, "data");
      this.data = given;
    }
    this.#theme = matchMedia("(prefers-color-scheme: dark)");
    this.#theme.addEventListener("change", this.#onTheme);
    this.requestRender();
  }

  /** @ignore the platform's */
  disconnectedCallback(): void {
    this.#theme?.removeEventListener("change", this.#onTheme);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** @ignore the platform's */
  attributeChangedCallback(): void {
    this.requestRender();
  }

  /** Draw in the next frame. */
  protected requestRender(): void {
    if (this.#frame !== 0 || !this.isConnected) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.render(this.#data);
    });
  }

  protected abstract render(data: Data | undefined): void;

  /** The palette as it is here and now, for a canvas, which knows no custom properties. */
  protected colours(): Record<PaletteName, string> {
    const names = Object.keys(PALETTE) as PaletteName[];
    // All at once, so that styles are computed once.
    const probes = names.map((name) => {
      const probe = document.createElement("i");
      probe.className = `colour-${name}`;
      return probe;
    });
    this.root.append(...probes);
    const found = names.map((name, at) => [name, getComputedStyle(probes[at] as Element).color]);
    for (const probe of probes) probe.remove();
    return Object.fromEntries(found) as Record<PaletteName, string>;
  }

  /** Tell the page what was picked. */
  protected announce(type: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}

/**
 * Where a key moves a cursor on `0..last`: arrows by one, Page by `page`, Home and End to the ends.
 * Undefined for any other key.
 */
export function movedByKey(
  key: string,
  at: number,
  last: number,
  page: number,
): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -page,
    PageUp: page,
    Home: -Infinity,
    End: Infinity,
  };
  const step = steps[key];
  return step === undefined ? undefined : Math.min(Math.max(at + step, 0), last);
}
