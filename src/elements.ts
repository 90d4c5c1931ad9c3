/**
 * The charts as custom elements, for any page: plain data in by the property `data`, no engine
 * inside. Importing this defines them where there is a document, and does nothing elsewhere.
 */
import { ZigCurve } from "./elements/curve.ts";
import { ZigHeatmap } from "./elements/heatmap.ts";
import { ZigKernels } from "./elements/kernels.ts";
import { ZigMeter } from "./elements/meter.ts";
import { ZigPyramid } from "./elements/pyramid.ts";
import { ZigRuns } from "./elements/runs.ts";
import { ZigTimeline } from "./elements/timeline.ts";
import { ZigTokenGrid } from "./elements/token-grid.ts";
import { ZigTokens } from "./elements/tokens.ts";

export * from "./elements/format.ts";
export { type CurveData, type CurveSeries, ZigCurve } from "./elements/curve.ts";
export { type HeatmapData, ZigHeatmap } from "./elements/heatmap.ts";
export { type KernelRow, type KernelsData, ZigKernels } from "./elements/kernels.ts";
export { type MeterData, ZigMeter } from "./elements/meter.ts";
export { ZigPyramid } from "./elements/pyramid.ts";
export type { PyramidData, PyramidHead, PyramidLayer } from "./elements/pyramid-data.ts";
export { type OverlaidRun, type RunsData, ZigRuns } from "./elements/runs.ts";
export { ZigTimeline } from "./elements/timeline.ts";
export type { TimelineData, TimelineSeries } from "./elements/timeline-data.ts";
export { type TokenGridCell, type TokenGridData, ZigTokenGrid } from "./elements/token-grid.ts";
export { type TokenShare, type TokensData, ZigTokens } from "./elements/tokens.ts";

declare global {
  interface HTMLElementTagNameMap {
    "zig-curve": ZigCurve;
    "zig-heatmap": ZigHeatmap;
    "zig-kernels": ZigKernels;
    "zig-meter": ZigMeter;
    "zig-pyramid": ZigPyramid;
    "zig-runs": ZigRuns;
    "zig-timeline": ZigTimeline;
    "zig-token-grid": ZigTokenGrid;
    "zig-tokens": ZigTokens;
  }
}

const ELEMENTS = {
  "zig-curve": ZigCurve,
  "zig-heatmap": ZigHeatmap,
  "zig-kernels": ZigKernels,
  "zig-meter": ZigMeter,
  "zig-pyramid": ZigPyramid,
  "zig-runs": ZigRuns,
  "zig-timeline": ZigTimeline,
  "zig-token-grid": ZigTokenGrid,
  "zig-tokens": ZigTokens,
};

// Inert in Node; and a second copy of the package on a page leaves the first one's elements be.
if ("customElements" in globalThis) {
  for (const [name, element] of Object.entries(ELEMENTS)) {
    if (customElements.get(name) === undefined) customElements.define(name, element);
  }
}
