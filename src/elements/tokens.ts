import { ChartElement, movedByKey } from "./chart-element.ts";
import { formatCount, formatShare } from "./format.ts";
import { fillRows, html, setAttributes, setText, twinTable } from "./nodes.ts";

/** A token of a text, and how much of the cache keeps it. */
export interface TokenShare {
  readonly text: string;
  /** Pairs of (layer, KV head) that keep it. */
  readonly kept: number;
}

/** What `zig-tokens` shows. */
export interface TokensData {
  readonly tokens: readonly TokenShare[];
  /** Pairs of (layer, KV head) in all. */
  readonly of: number;
  /** Tokens that are pointed out, such as a needle: from index, up to but not including index. */
  readonly marked?: readonly (readonly [from: number, to: number])[];
}

const STEPS = ["none", "up to 25 %", "up to 50 %", "up to 75 %", "under 100 %", "all"] as const;

/** Tokens of one block: blocks out of sight are not laid out. */
const BLOCK = 256;

const CSS = `
.stage {
  max-height: var(--zig-tokens-height, 20rem);
  overflow: auto;
  white-space: pre-wrap;
  overflow-wrap: anywhere;
  line-height: 1.7;
  font-size: 14px;
}
.block { display: inline; }
span.t { cursor: pointer; text-underline-offset: 3px; }
.s0 { color: var(--_ink-soft); text-decoration: underline dotted 1px; }
.s1 { background: color-mix(in srgb, var(--_accent) 10%, transparent); }
.s2 { background: color-mix(in srgb, var(--_accent) 20%, transparent); }
.s3 { background: color-mix(in srgb, var(--_accent) 30%, transparent); }
.s4 { background: color-mix(in srgb, var(--_accent) 40%, transparent); }
.s5 {
  background: color-mix(in srgb, var(--_accent) 40%, transparent);
  text-decoration: underline solid 2px var(--_accent);
}
.marked { box-shadow: inset 0 2px 0 var(--_warning), inset 0 -1px 0 var(--_warning); }
.at { outline: 2px solid var(--_ink); outline-offset: -1px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 12px; padding-bottom: 4px; color: var(--_ink-soft); }
.legend span span { padding: 0 6px; margin-right: 4px; color: var(--_ink); }
.readout { min-height: 1.4em; padding-top: 4px; }
`;

/**
 * `zig-tokens`: a text, each token tinted by the share of (layer, KV head) pairs that keep it, in
 * five steps; underlined where all keep it, faded and dotted where none does. Fires `zig-token` with
 * `{ index }` for a click, or for Enter on the token that the arrow keys have moved to.
 */
export class ZigTokens extends ChartElement<TokensData> {
  readonly #stage = html("div", { class: "stage", role: "slider", tabindex: 0 });
  readonly #readout = html("p", { class: "readout" });
  readonly #twin = twinTable("Tokens by the share that keeps them", ["Kept by", "Tokens"]);
  #spans: HTMLElement[] = [];
  #shown: TokensData | undefined;
  #at = 0;
  #isActive = false;

  constructor() {
    super(CSS);
    const legend = html("p", { class: "legend", "aria-hidden": "true" }, "Kept by:");
    for (const [step, name] of STEPS.entries()) {
      legend.append(html("span", {}, html("span", { class: `s${step}` }, "a"), name));
    }
    this.root.append(legend, this.#stage, this.#readout, this.#twin.element);
    setAttributes(this.#stage, { "aria-label": "Tokens of the prompt" });
    this.#stage.addEventListener("click", (event) => {
      const index = this.#spans.indexOf(event.target as HTMLElement);
      if (index >= 0) this.#moveTo(index, true);
    });
    this.#stage.addEventListener("keydown", (event) => {
      if (event.key === "Enter") return this.#moveTo(this.#at, true);
      const to = movedByKey(event.key, this.#at, this.#spans.length - 1, 25);
      if (to === undefined || this.#spans.length === 0) return;
      event.preventDefault();
      this.#moveTo(to, false);
      this.#spans[to]?.scrollIntoView({ block: "nearest" });
    });
    this.#stage.addEventListener("focus", () => this.#moveTo(this.#at, false));
  }

  protected render(data: TokensData | undefined): void {
    const tokens = data?.tokens ?? [];
    if (data !== this.#shown) {
      if (!sameTexts(tokens, this.#shown?.tokens ?? [])) this.#layOut(tokens);
      this.#shown = data;
      this.#at = Math.min(this.#at, Math.max(tokens.length - 1, 0));
      tokens.forEach((token, index) => {
        const step = stepOf(token.kept, data?.of ?? 1);
        const isMarked = data?.marked?.some(([from, to]) => index >= from && index < to) === true;
        const name = `t s${step}${isMarked ? " marked" : ""}`;
        const span = this.#spans[index] as HTMLElement;
        if (span.className !== name) span.className = name;
      });
      const counts = STEPS.map((name, step) => {
        const inStep = tokens.filter(({ kept }) => stepOf(kept, data?.of ?? 1) === step);
        return [name, formatCount(inStep.length)];
      });
      fillRows(this.#twin.body, counts);
    }
    this.#renderCursor(data);
  }

  /** Text nodes are made once; a new share only changes a class. */
  #layOut(tokens: readonly TokenShare[]): void {
    this.#spans = tokens.map(({ text }) => html("span", { class: "t" }, text));
    const blocks: HTMLElement[] = [];
    for (let from = 0; from < tokens.length; from += BLOCK) {
      blocks.push(html("div", { class: "block" }, ...this.#spans.slice(from, from + BLOCK)));
    }
    this.#stage.replaceChildren(...blocks);
  }

  #renderCursor(data: TokensData | undefined): void {
    this.#stage.querySelector(".at")?.classList.remove("at");
    const token = data?.tokens[this.#at];
    const isShown = token !== undefined && this.#isActive;
    if (isShown) this.#spans[this.#at]?.classList.add("at");
    const text =
      data === undefined || token === undefined ? "No text yet." : describe(data, token, this.#at);
    setText(this.#readout, isShown || token === undefined ? text : summary(data as TokensData));
    setAttributes(this.#stage, {
      "aria-valuemin": 0,
      "aria-valuemax": Math.max(this.#spans.length - 1, 0),
      "aria-valuenow": this.#at,
      "aria-valuetext": text,
    });
  }

  #moveTo(index: number, isPicked: boolean): void {
    if (this.#spans.length === 0) return;
    this.#isActive = true;
    this.#at = index;
    this.requestRender();
    if (isPicked) this.announce("zig-token", { index });
  }
}

/** 0 for none, 5 for all, and four steps between. */
function stepOf(kept: number, of: number): number {
  if (kept <= 0) return 0;
  return kept >= of ? 5 : Math.min(Math.ceil((4 * kept) / of), 4);
}

function sameTexts(a: readonly TokenShare[], b: readonly TokenShare[]): boolean {
  return a.length === b.length && a.every(({ text }, i) => text === b[i]?.text);
}

function describe({ tokens, of }: TokensData, { text, kept }: TokenShare, at: number): string {
  const place = `Token ${formatCount(at)} of ${formatCount(tokens.length)}`;
  const pairs = `${formatCount(kept)} of ${formatCount(of)} (layer, head) pairs`;
  return `${place}, “${text}”: kept by ${pairs}, ${formatShare(kept / Math.max(of, 1))}.`;
}

function summary({ tokens, of }: TokensData): string {
  const none = tokens.filter(({ kept }) => kept === 0).length;
  const all = tokens.filter(({ kept }) => kept >= of).length;
  const total = `${formatCount(tokens.length)} tokens`;
  return `${total}: ${formatCount(all)} kept by all, ${formatCount(none)} by none.`;
}
