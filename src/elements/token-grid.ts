import { ChartElement } from "./chart-element.ts";
import { formatCount } from "./format.ts";
import { fitChildren, html, setAttributes, setText } from "./nodes.ts";

/** What one KV head of one layer did with a token. */
export interface TokenGridCell {
  readonly kept: boolean;
  /** How it ranked, 1 the highest; left out where it was not ranked. */
  readonly rank?: number;
  /** Tokens that were ranked. */
  readonly of?: number;
  /** What it was ranked by; left out where it stays whatever its score. */
  readonly score?: number;
}

/** What `zig-token-grid` shows. */
export interface TokenGridData {
  /** Which token it is. */
  readonly caption: string;
  /** `[layer][KV head]` */
  readonly cells: readonly (readonly TokenGridCell[])[];
}

const CSS = `
.scroll { max-height: var(--zig-token-grid-height, 24rem); overflow: auto; }
.scroll:focus-visible { outline: 2px solid var(--_accent); }
table { width: 100%; border-collapse: separate; border-spacing: 2px; }
caption { text-align: left; color: var(--_ink-soft); }
th { font-weight: 400; color: var(--_ink-soft); text-align: left; white-space: nowrap; }
thead th { position: sticky; top: 0; background: var(--_paper); }
td { padding: 2px 6px; white-space: nowrap; }
td.kept { background: color-mix(in srgb, var(--_accent) 22%, transparent); }
td.evicted { color: var(--_ink-soft); border: 1px dotted var(--_edge); }
`;

/**
 * `zig-token-grid`: what every layer (rows) and KV head (columns) did with one token: kept or evicted,
 * and its rank and score where they are known. The table is the drawing; it scrolls by keyboard too.
 */
export class ZigTokenGrid extends ChartElement<TokenGridData> {
  readonly #caption = html("caption");
  readonly #head = html("tr");
  readonly #body = html("tbody");

  constructor() {
    super(CSS);
    const table = html("table", {}, this.#caption, html("thead", {}, this.#head), this.#body);
    const region = {
      class: "scroll",
      tabindex: 0,
      role: "region",
      "aria-label": "Heads that keep the token",
    };
    this.root.append(html("div", region, table));
  }

  protected render(data: TokenGridData | undefined): void {
    const { caption = "No token is picked.", cells = [] } = data ?? {};
    setText(this.#caption, caption);
    const heads = Math.max(0, ...cells.map(({ length }) => length));
    const names = cells.length === 0 ? [] : ["Layer", ...Array.from({ length: heads }, headName)];
    fitChildren(this.#head, names.length, () => html("th", { scope: "col" }));
    names.forEach((name, at) => setText(this.#head.children[at] as Element, name));
    fitChildren(this.#body, cells.length, () => html("tr"));
    cells.forEach((row, layer) => {
      const line = this.#body.children[layer] as Element;
      fitChildren(line, row.length + 1, (at) =>
        at === 0 ? html("th", { scope: "row" }) : html("td"),
      );
      setText(line.children[0] as Element, String(layer));
      row.forEach((cell, head) => {
        const place = line.children[head + 1] as Element;
        setText(place, cellText(cell));
        setAttributes(place, { class: cell.kept ? "kept" : "evicted" });
      });
    });
  }
}

const headName = (_: unknown, head: number): string => `Head ${head}`;

/** `kept, 3 of 64, score 0.0123` */
function cellText({ kept, rank, of, score }: TokenGridCell): string {
  const parts = [kept ? "kept" : "evicted"];
  if (rank !== undefined && of !== undefined) {
    parts.push(`${formatCount(rank)} of ${formatCount(of)}`);
    parts.push(score === undefined ? "window" : `score ${Number(score.toPrecision(3))}`);
  }
  return parts.join(", ");
}
