import { formatBytes, formatMiB, formatTime } from "../../src/elements.ts";
import type { TraceBuffer } from "../../src/profile.ts";
import { byId, setText, tableRow } from "../dom.ts";

/** Buffers that are listed at once: the largest. */
const MOST_BUFFERS = 300;

/** While the moment moves nobody reads a table: it is filled when the moment has rested this long, in ms. */
const REST_MS = 100;

const USAGES = [
  [1, "map read"],
  [2, "map write"],
  [4, "copy source"],
  [8, "copy target"],
  [64, "uniform"],
  [128, "storage"],
  [512, "query resolve"],
] as const;

/** The buffers that are live at the moment, with a filter. */
export interface BufferTable {
  /** Show these soon: of several in a row only the last. */
  show(live: readonly TraceBuffer[]): void;
}

/** Connect the table that stands in the page. */
export function connectBufferTable(): BufferTable {
  const filter = byId("filter", HTMLInputElement);
  const count = byId("buffer-count", HTMLElement);
  const body = byId("buffer-rows", HTMLElement);
  let live: readonly TraceBuffer[] = [];
  let rest: ReturnType<typeof setTimeout> | undefined;
  /** What the rows are: most moments that are next to each other have the same buffers. */
  let listed = "";

  const fill = (): void => {
    const wanted = filter.value.trim().toLowerCase();
    const found = live
      .filter(({ label, purpose }) => `${label} ${purpose}`.toLowerCase().includes(wanted))
      .sort((a, b) => b.bytes - a.bytes || a.id - b.id);
    const bytes = found.reduce((sum, buffer) => sum + buffer.bytes, 0);
    const shown = found.slice(0, MOST_BUFFERS);
    const most = shown.length < found.length ? `, the largest ${shown.length} of them here` : "";
    setText(count, `${found.length} buffers, ${formatMiB(bytes)}${most}`);
    const key = shown.map(({ id, at, label, bytes: size }) => [id, at, label, size].join()).join();
    if (key === listed) return;
    listed = key;
    body.replaceChildren(...shown.map(bufferRow));
  };

  filter.addEventListener("input", fill);
  return {
    show(now) {
      live = now;
      clearTimeout(rest);
      rest = setTimeout(fill, REST_MS);
    },
  };
}

function bufferRow({ label, purpose, bytes, usage, at }: TraceBuffer): HTMLElement {
  return tableRow(label, purpose, formatBytes(bytes), usageText(usage), formatTime(at));
}

function usageText(usage: number): string {
  if (usage === 0) return "timestamp queries";
  return USAGES.flatMap(([flag, name]) => ((usage & flag) === 0 ? [] : name)).join(", ");
}
