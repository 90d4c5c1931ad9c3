import { formatMiB, formatShare } from "../../src/elements.ts";
import type { RunTrace, TraceBuffer } from "../../src/profile.ts";
import { byId, setText, svg, tableRow } from "../dom.ts";

/** Show the GPU of a run, and how near its buffers come to what it allows. */
export function showAdapter({ adapter }: RunTrace, live: readonly TraceBuffer[]): void {
  const kind = adapter.isSoftware ? " (software: everything is slow)" : "";
  setText(byId("adapter-name", HTMLElement), `${adapter.name}${kind}`);
  const largest = (buffers: readonly TraceBuffer[]): TraceBuffer | undefined =>
    buffers.reduce<TraceBuffer | undefined>(
      (most, buffer) => (buffer.bytes > (most?.bytes ?? 0) ? buffer : most),
      undefined,
    );
  const bound = live.filter(({ usage }) => (usage & STORAGE) !== 0);
  const rows = [
    limitRow("Largest buffer", largest(live), adapter.maxBufferSize),
    limitRow("Largest binding", largest(bound), adapter.maxStorageBufferBindingSize),
  ];
  byId("adapter-rows", HTMLElement).replaceChildren(...rows);
}

/** `GPUBufferUsage.STORAGE`, which a page without WebGPU does not have. */
const STORAGE = 0x80;

function limitRow(name: string, buffer: TraceBuffer | undefined, limit: number): HTMLElement {
  const used = buffer?.bytes ?? 0;
  const share = limit > 0 ? used / limit : 0;
  const bar = svg("svg", { class: "limit-bar", "aria-hidden": "true" });
  bar.append(svg("rect", { height: "100%", width: `${100 * share}%` }));
  const figures = `${formatMiB(used)} of ${formatMiB(limit)} (${formatShare(share)})`;
  return tableRow(name, figures, bar, buffer?.label ?? "–");
}
