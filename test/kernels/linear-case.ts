import { test } from "vitest";
import type { PlanarLayout } from "../../src/formats/planar.ts";
import { groupedBytes, groupRows } from "../../src/formats/row-groups.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createLinear, type Linear, type Matrix } from "../../src/model/linear.ts";
import { defaultChoice } from "../../src/model/linear-choice.ts";
import type { LinearForm, LinearVariant, MatvecVariant } from "../../src/model/linear-variants.ts";
import { expectClose } from "../expect-close.ts";
import { seededRandom } from "../random.ts";
import { linearReference } from "../reference/matmul.ts";
import {
  dequantise,
  PLANAR_LAYOUTS,
  type PlanarMatrix,
  randomPlanar,
} from "../reference/planar.ts";
import { readFloats, storageBuffer } from "./buffers.ts";

/** A layer's form with the layout of its weights, by names. */
export type LayoutAndForm = readonly [layout: keyof typeof PLANAR_LAYOUTS, form: LinearForm];

/** Each form with q4, which most models have. */
export const Q4_FORMS: readonly LayoutAndForm[] = [
  ["q4", { norm: true, gated: true }],
  ["q4", { norm: true, bias: true }],
  ["q4", { residual: true }],
];

/** Each layout and each form: no line of WGSL knows of both, so that they need not all meet. */
export const LAYOUTS_AND_FORMS: readonly LayoutAndForm[] = [
  ["q4", { norm: true, bias: true }],
  ["q8", { norm: true, gated: true }],
  ["q8 with min", { residual: true }],
  ["q8 of 16", { norm: true, gated: true }],
  ["f16", { norm: true, bias: true }],
];

/** A shape of a linear layer, and where its operands lie. */
export interface LinearShape {
  readonly rows: number;
  readonly cols: number;
  readonly tokens: number;
  /** Even rows to part the matrix at; by default it is one slice. */
  readonly splitAt?: number;
  /** Elements before x and y. */
  readonly xOffset?: number;
  readonly yOffset?: number;
}

const EPS = 1e-5;

/** A test for each layout and form; those whose rows are pairs (gate and up) take the even shapes. */
export function testForms(
  gpu: GpuContext,
  variant: LinearVariant,
  shapes: readonly LinearShape[],
  all: readonly LayoutAndForm[],
): void {
  const paired = shapes.filter(({ rows }) => rows % 2 === 0);
  for (const [kind, form] of all) {
    test(`${kind}, ${Object.keys(form).join(" ")}`, async () => {
      const fitting = form.gated ? paired : shapes;
      await expectLinear(gpu, variant, PLANAR_LAYOUTS[kind], form, fitting);
    });
  }
}

/** Run one variant on random operands and compare each element of y, and what lies around it, with the twin. */
export async function expectLinear(
  gpu: GpuContext,
  variant: LinearVariant,
  layout: PlanarLayout,
  form: LinearForm,
  shapes: readonly LinearShape[],
): Promise<void> {
  const usual = defaultChoice(gpu);
  const choice = isMatvec(variant) ? { ...usual, matvec: variant } : { ...usual, matmul: variant };
  const tokens = isMatvec(variant) ? "one" : "many";
  const linear = await createLinear(gpu, [{ ...form, layouts: [layout], tokens }], { choice });
  for (const shape of shapes) await expectShape(gpu, linear, layout, form, shape);
}

function isMatvec(variant: LinearVariant): variant is MatvecVariant {
  return variant.kernel === "matvec_rows" || variant.kernel === "matvec_lanes";
}

async function expectShape(
  gpu: GpuContext,
  linear: Linear,
  layout: PlanarLayout,
  form: LinearForm,
  shape: LinearShape,
): Promise<void> {
  const { rows, cols, tokens, splitAt = 0, xOffset = 0, yOffset = 0 } = shape;
  const random = seededRandom(rows * 31 + cols * 7 + tokens);
  const parts = splitAt > 0 ? [splitAt, rows - splitAt] : [rows];
  const planar = parts.map((count) => randomPlanar(random, layout, count, cols));
  const weights = joined(planar.map(dequantise));
  const width = form.gated ? rows / 2 : rows;
  const x = random.normals(xOffset + tokens * cols);
  const gain = random.uniforms(cols, 0.5, 1.5);
  const bias = random.normals(rows);
  const before = random.normals(yOffset + tokens * width + 3);

  const buffers = [x, gain, bias, before].map((data) => storageBuffer(gpu, data));
  const [xBuffer, gainBuffer, biasBuffer, yBuffer] = buffers as [GPUBuffer, ...GPUBuffer[]];
  const matrix = uploadMatrix(gpu, planar);
  const recorder = new Recorder(gpu.device, gpu.buffers, 4, "linear test");
  linear.record(recorder, {
    matrix,
    tokens,
    x: xBuffer,
    xOffset,
    y: yBuffer,
    yOffset,
    ...(form.norm ? { norm: { gain: gainBuffer, eps: EPS } } : {}),
    ...(form.bias ? { bias: biasBuffer } : {}),
    residual: form.residual ?? false,
    gated: form.gated ?? false,
  });
  recorder.submit();
  const y = await readFloats(gpu, yBuffer);
  recorder.destroy();
  for (const buffer of [...buffers, ...matrixBuffers(matrix)]) gpu.buffers.destroy(buffer);

  const expected = Float64Array.from(before);
  const result = linearReference({
    rows,
    cols,
    tokens,
    weights,
    x: x.subarray(xOffset),
    ...(form.norm ? { gain, eps: EPS } : {}),
    ...(form.bias ? { bias } : {}),
    ...(form.residual ? { residual: before.subarray(yOffset) } : {}),
    gated: form.gated ?? false,
  });
  expected.set(result, yOffset);
  const most = result.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  try {
    expectClose(y, expected, { atol: 2e-6 * Math.max(most, 1), rtol: 0 });
  } catch (error) {
    throw new Error(`${JSON.stringify(shape)}: ${String(error)}`, { cause: error });
  }
}

/** Upload planar parts as the slices of one matrix. */
export function uploadMatrix(gpu: GpuContext, parts: readonly PlanarMatrix[]): Matrix {
  let rowStart = 0;
  const slices = parts.map((part) => {
    const { layout, rows, cols } = part;
    const { quantBytes, scaleBytes } = groupedBytes(layout, rows, cols);
    const grouped = {
      quants: new Uint32Array(quantBytes / 4),
      scales: new Uint32Array(scaleBytes / 4),
    };
    groupRows(layout, part, rows, cols, grouped);
    const quants = storageBuffer(gpu, grouped.quants);
    const scales = scaleBytes > 0 ? storageBuffer(gpu, grouped.scales) : quants;
    const slice = { layout, rowStart, rows, quants, scales };
    rowStart += rows;
    return slice;
  });
  return { rows: rowStart, cols: parts[0].cols, slices };
}

/** The buffers that `uploadMatrix` made. */
export function matrixBuffers({ slices }: Matrix): GPUBuffer[] {
  return [...new Set(slices.flatMap(({ quants, scales }) => [quants, scales]))];
}

/** Arrays one after the other. */
export function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
