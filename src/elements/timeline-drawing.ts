import { fitCanvas } from "./canvas.ts";
import { formatMiB, formatTime } from "./format.ts";
import type { PaletteName } from "./palette.ts";
import { peaksByColumn, phaseGroups, type TimelineData } from "./timeline-data.ts";
import type { TimeRange } from "./timeline-range.ts";

const BAND = 20;
const FONT = "13px ui-sans-serif, system-ui, sans-serif";

const PHASE_COLOURS: Readonly<Record<string, PaletteName>> = {
  load: "weights",
  prefill: "edge",
  compress: "accent",
  decode: "activations",
};

type Colours = Readonly<Record<PaletteName, string>>;

/** Where the drawing puts times and bytes. */
interface Scale {
  readonly width: number;
  x(time: number): number;
  y(bytes: number): number;
}

/** Draw a stretch of the timeline: the stack, the full cache's line, the peak, the phases above. */
export function drawTimeline(
  canvas: HTMLCanvasElement,
  data: TimelineData,
  [start, end]: TimeRange,
  most: { readonly peak: number; readonly full: number },
  colours: Colours,
): void {
  const { context, width, height } = fitCanvas(canvas);
  const [top, bottom] = [BAND + 4, height - BAND];
  const highest = Math.max(most.peak, most.full, 1) * 1.06;
  const scale: Scale = {
    width,
    x: (time) => (width * (time - start)) / (end - start),
    y: (bytes) => bottom - ((bottom - top) * bytes) / highest,
  };
  const columns = peaksByColumn(data, start, end, Math.ceil(width));
  drawStack(context, data, columns, scale, colours);
  context.font = FONT;
  context.lineWidth = 1;
  drawPhases(context, data, scale, colours);
  context.strokeStyle = colours.ink;
  context.setLineDash([6, 4]);
  context.beginPath();
  columns.forEach((entry, column) => {
    const level = scale.y(entry < 0 ? 0 : (data.full[entry] as number));
    if (column === 0) context.moveTo(column, level);
    else context.lineTo(column, level);
  });
  context.stroke();
  context.setLineDash([]);
  const peak = scale.y(most.peak);
  context.beginPath();
  context.moveTo(0, Math.round(peak) + 0.5);
  context.lineTo(width, Math.round(peak) + 0.5);
  context.stroke();
  context.fillStyle = colours.ink;
  context.textBaseline = "bottom";
  context.fillText(`peak ${formatMiB(most.peak)}`, 4, peak - 2);
  context.textBaseline = "alphabetic";
  context.fillStyle = colours["ink-soft"];
  context.fillText(formatTime(start), 0, height - 4);
  context.textAlign = "right";
  context.fillText(formatTime(end), width, height - 4);
  context.textAlign = "left";
}

/** A box for each run of columns that show the same entry. */
function drawStack(
  context: CanvasRenderingContext2D,
  { series }: TimelineData,
  columns: Int32Array,
  { y }: Scale,
  colours: Colours,
): void {
  for (let from = 0; from < columns.length;) {
    const entry = columns[from] as number;
    let to = from + 1;
    while (to < columns.length && columns[to] === entry) to++;
    let below = 0;
    for (const { colour, bytes } of series) {
      const value = entry < 0 ? 0 : (bytes[entry] as number);
      if (value > 0) {
        context.fillStyle = colours[colour];
        context.fillRect(from, y(below + value), to - from, y(below) - y(below + value));
      }
      below += value;
    }
    from = to;
  }
}

function drawPhases(
  context: CanvasRenderingContext2D,
  data: TimelineData,
  { x, width }: Scale,
  colours: Colours,
): void {
  for (const { name, start, end } of data.phases) {
    const [from, to] = [Math.max(x(start), 0), Math.min(x(end), width)];
    if (to < 0 || from > width) continue;
    context.fillStyle = colours[PHASE_COLOURS[name] ?? "edge"];
    context.fillRect(from, BAND - 4, Math.max(to - from, 0.5), 4);
  }
  // One word for each run of phases that is wide enough for it.
  context.fillStyle = colours["ink-soft"];
  let labelled = -Infinity;
  for (const { name, start, end } of phaseGroups(data)) {
    const from = Math.max(x(start), 0);
    const wide = context.measureText(name).width;
    if (from < labelled || Math.min(x(end), width) - from < wide + 4) continue;
    context.fillText(name, from, BAND - 7);
    labelled = from + wide + 8;
  }
}
