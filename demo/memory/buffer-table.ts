import { formatBytes, formatMiB, formatTime } from "../../src/elements.ts";
import type { TraceBuffer, TraceLayer } from "../../src/profile.ts";
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
  show(live: readonly TraceBuffer[], layers: readonly TraceLayer[]): void;
}

/**
 * Bytes of a buffer that hold nothing: of a layer's rows, room that is not in use. Undefined of other
 * buffers, of which the run doesn't tell.
 */
export function unusedBytes(
  { purpose, layer, bytes }: TraceBuffer,
  layers: readonly TraceLayer[],
): number | undefined {
  const rows = purpose === "kv" && layer !== undefined ? layers[layer] : undefined;
  if (rows === undefined) return undefined;
  const sum = (of: "length" | "capacity"): number =>
    rows.heads?.reduce((all, head) => all + head[of], 0) ?? rows[of];
  return Math.round(bytes * (1 - sum("length") / sum("capacity")));
}

/** Connect the table that stands in the page. */
export function connectBufferTable(): BufferTable {
  const filter = byId("filter", HTMLInputElement);
  const count = byId("buffer-count", HTMLElement);
  const body = byId("buffer-rows", HTMLElement);
  let live: readonly TraceBuffer[] = [];
  let layers: readonly TraceLayer[] = [];
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
    const unused = found.map((buffer) => unusedBytes(buffer, layers));
    const spare = unused.reduce<number>((sum, of = 0) => sum + of, 0);
    setText(
      count,
      `${found.length} buffers, ${formatMiB(bytes)}, of it ${formatMiB(spare)} spare rows${most}`,
    );
    const key = shown
      .map(({ id, at, label, bytes: size }, i) => [id, at, label, size, unused[i]].join())
      .join();
    if (key === listed) return;
    listed = key;
    const alike = new Map<string, number>();
    for (const { label } of live) alike.set(label, (alike.get(label) ?? 0) + 1);
    body.replaceChildren(
      ...shown.map((buffer, i) => bufferRow(buffer, unused[i], alike.get(buffer.label) ?? 1)),
    );
  };

  filter.addEventListener("input", fill);
  return {
    show(now, layersNow) {
      live = now;
      layers = layersNow;
      clearTimeout(rest);
      rest = setTimeout(fill, REST_MS);
    },
  };
}

function bufferRow(
  { label, purpose, bytes, usage, at }: TraceBuffer,
  unused: number | undefined,
  alike: number,
): HTMLElement {
  return tableRow(
    alike > 1 ? `${label} (one of ${alike} with this label)` : label,
    purpose,
    formatBytes(bytes),
    unused === undefined ? "–" : formatBytes(unused),
    usageText(usage),
    formatTime(at),
  );
}

function usageText(usage: number): string {
  if (usage === 0) return "timestamp queries";
  return USAGES.flatMap(([flag, name]) => ((usage & flag) === 0 ? [] : name)).join(", ");
}
