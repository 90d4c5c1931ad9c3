import { formatBytes, formatCount, formatShare } from "./format.ts";
import type { PyramidData, PyramidLayer } from "./pyramid-data.ts";

/** Headings of the table that stands for the drawing. */
export const TWIN_HEADINGS: readonly string[] = [
  "Layer",
  "Budget",
  "In use",
  "Allocated",
  "Full cache",
  "Bytes",
  "Full bytes",
  "Kept attention",
  "Generated",
  "In use by head",
];

/** A layer's line of that table. */
export function twinRow(layer: PyramidLayer, at: number, tokens: number): string[] {
  const { budget, length, capacity, bytes, fullBytes, keptMass = [], generated, heads } = layer;
  return [
    ...[at, budget, length, capacity, tokens].map(formatCount),
    ...[bytes, fullBytes].map(formatBytes),
    keptMass.length > 0 ? formatShare(mean(keptMass)) : "not measured",
    generated === undefined ? "not known" : eachOf(generated),
    heads === undefined ? "not known" : heads.map((head) => formatCount(head.length)).join(", "),
  ];
}

/** All layers in words. */
export function summary(data: PyramidData | undefined): string {
  const layers = data?.layers ?? [];
  const first = layers[0];
  const last = layers.at(-1);
  if (data === undefined || first === undefined || last === undefined) return "No layers yet.";
  if (data.tokens === 0) return `${formatCount(layers.length)} layers, nothing read yet.`;
  if (layers.every(({ length }) => length === 0) && first.capacity > 0) {
    const room = `${formatCount(first.capacity)} rows at the bottom, ${formatCount(last.capacity)} on top`;
    return `Planned for ${formatCount(data.tokens)} tokens: room for ${room}.`;
  }
  const inUse = `${formatCount(first.length)} rows at the bottom, ${formatCount(last.length)} on top`;
  return `Layers 0 to ${layers.length - 1}: ${inUse}; a full cache has ${formatCount(data.tokens)} in each.`;
}

/** One layer in words, with its exact figures. */
export function describe({ layers, tokens }: PyramidData, at: number): string {
  const layer = layers[at] as PyramidLayer;
  const { budget, length, capacity, bytes, fullBytes, keptMass = [], heads = [] } = layer;
  const mass = keptMass.length > 0 ? `, ${formatShare(mean(keptMass))} of the attention kept` : "";
  const isEven = heads.every((head) => head.length === length);
  const each =
    heads.length === 0
      ? ""
      : isEven
        ? ` in each of ${formatCount(heads.length)} heads`
        : `; by head ${heads.map((head) => formatCount(head.length)).join(", ")}`;
  return (
    `Layer ${at}: ${formatCount(length)} of ${formatCount(tokens)} rows per head in use` +
    `${parts(layer)}${each}; budget ${formatCount(budget)}, room ${formatCount(capacity)}; ` +
    `${exactBytes(bytes)} of ${exactBytes(fullBytes)}${mass}.`
  );
}

/** How many rows are the prompt's, and how many the answer's, where that is known. */
function parts({ length, heads, generated }: PyramidLayer): string {
  if (generated === undefined) return "";
  const prompt = generated.map((rows, head) => (heads?.[head]?.length ?? length) - rows);
  return ` (of the prompt ${eachOf(prompt)}, generated ${eachOf(generated)})`;
}

/** One figure where all heads have the same, else least and most. */
function eachOf(rows: readonly number[]): string {
  const [least, most] = [Math.min(...rows), Math.max(...rows)];
  if (rows.length === 0) return "none";
  return least === most ? formatCount(most) : `${formatCount(least)} to ${formatCount(most)}`;
}

function exactBytes(bytes: number): string {
  const short = formatBytes(bytes);
  return bytes < 1024 ? short : `${formatCount(bytes)}\u00a0B (${short})`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
