import type { PlanarLayout } from "../formats/planar.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type { LinearChoice } from "./linear-choice.ts";
import { measuredChoice, type Measurement } from "./linear-measure.ts";
import {
  describeVariant,
  dispatchTokens,
  layoutKey,
  type LinearForm,
  linearGrid,
  linearKernelSpec,
  linearParams,
  type LinearVariant,
} from "./linear-variants.ts";

/** Most products of one dispatch on a CPU adapter: 0.13 s on lavapipe, 0.6 s on SwiftShader, with two cores. */
const SOFTWARE_DISPATCH_WORK = 2 ** 31;

/** A run of rows of a matrix, in one layout, small enough to bind. */
export interface MatrixSlice {
  readonly layout: PlanarLayout;
  readonly rowStart: number;
  readonly rows: number;
  readonly quants: GPUBuffer;
  readonly scales: GPUBuffer;
}

/** A matrix of weights on the GPU. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  /** In order of rows, without gaps; a pair of rows (2i, 2i + 1) is never parted. */
  readonly slices: readonly MatrixSlice[];
}

/** A kind of linear layer that a model has, so that its kernels can be compiled before they run. */
export interface LinearUse extends LinearForm {
  /** Layouts of the matrices' slices. */
  readonly layouts: readonly PlanarLayout[];
  /** Token counts that it runs with. */
  readonly tokens: "one" | "many" | "any";
}

/** One linear layer: y[t][n] (+)= rstd[t] * sum_k W[n][k] * gain[k] * x[t][k] + bias[n]. */
export interface LinearCall {
  readonly matrix: Matrix;
  readonly tokens: number;
  /** f32 `[tokens][cols]`. */
  readonly x: BufferBinding;
  /** Element of the first token's x, a multiple of 4; by default 0. */
  readonly xOffset?: number;
  /** f32 `[tokens][rows]`, or `[tokens][rows / 2]` when gated. */
  readonly y: BufferBinding;
  /** Element of the first token's y; by default 0. */
  readonly yOffset?: number;
  /** f32 `[cols]` and epsilon of the RMSNorm of x; without it x is taken as it is. */
  readonly norm?: { readonly gain: GPUBuffer; readonly eps: number };
  /** f32 `[rows]`. */
  readonly bias?: GPUBuffer;
  /** Add to y. */
  readonly residual?: boolean;
  /** Write silu(row 2i) * row 2i+1. */
  readonly gated?: boolean;
}

/** Linear layers over quantised matrices, in the kernels that suit the adapter. */
export interface Linear {
  /** Which variants were chosen. */
  readonly choice: LinearChoice;
  /** The choice in words, and the times that it was made by where the adapter alone did not decide. */
  readonly report: Readonly<Record<string, string>>;
  /** Record the dispatches of one layer: one for each slice of its matrix, more where one would take too long. */
  record(list: DispatchList, call: LinearCall): void;
}

export interface LinearOptions {
  /** These variants, without a measurement. */
  readonly choice?: LinearChoice | undefined;
}

/**
 * Choose the variants for the adapter, by a short measurement where it is not clear which is best,
 * and compile the kernels of a model's linear layers.
 * @throws ShaderError
 */
export async function createLinear(
  gpu: GpuContext,
  uses: readonly LinearUse[],
  options: LinearOptions = {},
): Promise<Linear> {
  const [trial] = uses.flatMap(({ layouts }) => layouts);
  if (trial === undefined) throw new Error("a model without linear layers");
  const { choice, measurements } =
    options.choice === undefined
      ? await measuredChoice(gpu, trial)
      : { choice: options.choice, measurements: [] };
  const kernels = new Map<string, Kernel>();
  const compiling: Promise<void>[] = [];
  for (const use of uses) {
    const roles = use.tokens === "any" ? (["one", "many"] as const) : [use.tokens];
    for (const layout of use.layouts) {
      for (const role of roles) {
        const spec = linearKernelSpec(variantFor(choice, role), layout, use);
        const key = kernelKey(layout, role, use);
        compiling.push(gpu.kernels.get(spec).then((kernel) => void kernels.set(key, kernel)));
      }
    }
  }
  await Promise.all(compiling);
  const maxWork = gpu.isSoftware ? SOFTWARE_DISPATCH_WORK : Infinity;
  return {
    choice,
    report: choiceReport(choice, measurements),
    record: (list, call) => recordLinear(list, call, choice, kernels, maxWork),
  };
}

function choiceReport(
  { matvec, matmul }: LinearChoice,
  measurements: readonly Measurement[],
): Readonly<Record<string, string>> {
  const times = measurements.map(({ variant, milliseconds }): [string, string] => [
    `trial of ${describeVariant(variant)}`,
    `${milliseconds.toPrecision(3)} ms`,
  ]);
  return {
    matvec: describeVariant(matvec),
    matmul: describeVariant(matmul),
    ...Object.fromEntries(times),
  };
}

function recordLinear(
  list: DispatchList,
  call: LinearCall,
  choice: LinearChoice,
  kernels: ReadonlyMap<string, Kernel>,
  maxWork: number,
): void {
  const { matrix, tokens, x, y, norm, bias, residual = false, gated = false } = call;
  const role = tokens === 1 ? "one" : "many";
  const variant = variantFor(choice, role);
  const form = { norm: norm !== undefined, bias: bias !== undefined, residual, gated };
  for (const { layout, rowStart, rows, quants, scales } of matrix.slices) {
    const key = kernelKey(layout, role, form);
    const kernel = kernels.get(key);
    if (kernel === undefined) throw new Error(`no kernel was compiled for linear layer ${key}`);
    const buffers: Record<string, BufferBinding> = { quants, x, y };
    if (layout.kind !== "f16") buffers["scales"] = scales;
    if (norm !== undefined) buffers["gain"] = norm.gain;
    if (bias !== undefined) buffers["bias"] = bias;
    const yStride = gated ? matrix.rows / 2 : matrix.rows;
    const step = dispatchTokens(variant, rows, matrix.cols, maxWork);
    for (let start = 0; start < tokens; start += step) {
      const count = Math.min(step, tokens - start);
      const params = linearParams({
        rows,
        cols: matrix.cols,
        tokens: count,
        xOffset: (call.xOffset ?? 0) + start * matrix.cols,
        yOffset: (call.yOffset ?? 0) + start * yStride,
        yStride,
        rowOffset: rowStart,
        eps: norm?.eps ?? 0,
      });
      list.run(kernel, buffers, params, linearGrid(variant, rows, count));
    }
  }
}

function variantFor({ matvec, matmul }: LinearChoice, role: "one" | "many"): LinearVariant {
  return role === "one" ? matvec : matmul;
}

function kernelKey(layout: PlanarLayout, role: "one" | "many", form: LinearForm): string {
  const { norm, bias, residual, gated } = form;
  const marks = Object.entries({ norm, bias, residual, gated }).filter(([, on]) => on);
  return [layoutKey(layout), role, ...marks.map(([mark]) => mark)].join(" ");
}
