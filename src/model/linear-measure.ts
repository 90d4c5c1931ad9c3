import type { PlanarLayout } from "../formats/planar.ts";
import { groupedBytes } from "../formats/row-groups.ts";
import type { GpuContext } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import { type LinearChoice, linearCandidates } from "./linear-choice.ts";
import {
  linearGrid,
  linearKernelSpec,
  linearParams,
  type LinearVariant,
} from "./linear-variants.ts";

/** How long one candidate took. */
export interface Measurement {
  readonly role: "matvec" | "matmul";
  readonly variant: LinearVariant;
  /** Of one run over the trial matrix. */
  readonly milliseconds: number;
}

/** The matrix of a trial and the tokens that it is multiplied by. */
interface Trial {
  readonly rows: number;
  readonly cols: number;
  readonly tokens: number;
}

/** A matrix like those of a small model: large enough to fill a GPU, quick enough to wait for. */
const GPU_TRIAL: Trial = { rows: 2048, cols: 1024, tokens: 48 };
/** A few cores are full much sooner, and need 50 ms for the one above. */
const CPU_TRIAL: Trial = { rows: 512, cols: 1024, tokens: 24 };

/** A later candidate must be this much faster than the first: noise must not change the choice. */
const WORTHWHILE = 0.9;

const ROUNDS = 3;
const MILLISECONDS_PER_ROUND = 15;

/**
 * Choose variants for an adapter: by what is known of it and, where that leaves candidates, by a
 * short measurement with weights of `layout`.
 */
export async function measuredChoice(
  gpu: GpuContext,
  layout: PlanarLayout,
): Promise<{ readonly choice: LinearChoice; readonly measurements: readonly Measurement[] }> {
  const { matvec, matmul } = linearCandidates(gpu);
  const trial = gpu.isSoftware ? CPU_TRIAL : GPU_TRIAL;
  const measurements: Measurement[] = [];
  const fastest = async <T extends LinearVariant>(
    role: Measurement["role"],
    candidates: readonly [T, ...T[]],
    tokens: number,
  ): Promise<T> => {
    if (candidates.length === 1) return candidates[0];
    const times = await timeCandidates(gpu, layout, candidates, { ...trial, tokens });
    candidates.forEach((variant, i) => {
      measurements.push({ role, variant, milliseconds: times[i] as number });
    });
    const best = times.indexOf(Math.min(...times));
    const better = (times[best] as number) < WORTHWHILE * (times[0] as number);
    return better ? (candidates[best] as T) : candidates[0];
  };
  const choice = {
    matvec: await fastest("matvec", matvec, 1),
    matmul: await fastest("matmul", matmul, trial.tokens),
  };
  return { choice, measurements };
}

/** Milliseconds of each candidate: the least of some rounds, taken in turn. */
async function timeCandidates(
  gpu: GpuContext,
  layout: PlanarLayout,
  candidates: readonly LinearVariant[],
  { rows, cols, tokens }: Trial,
): Promise<number[]> {
  const { quantBytes, scaleBytes } = groupedBytes(layout, rows, cols);
  const made: GPUBuffer[] = [];
  const recorders: Recorder[] = [];
  const buffer = (name: string, bytes: number): GPUBuffer => {
    const usage = GPUBufferUsage.STORAGE;
    const label = `trial ${name}`;
    const created = gpu.buffers.create({ label, purpose: "staging", bytes, usage });
    made.push(created);
    return created;
  };
  try {
    const buffers = {
      quants: buffer("weights", quantBytes),
      ...(scaleBytes > 0 ? { scales: buffer("scales", scaleBytes) } : {}),
      x: buffer("x", tokens * cols * 4),
      y: buffer("y", tokens * rows * 4),
    };
    for (const variant of candidates) {
      const kernel = await gpu.kernels.get(linearKernelSpec(variant, layout, { residual: true }));
      const recorder = new Recorder(gpu.device, gpu.buffers, 1, "trial");
      recorders.push(recorder);
      const params = linearParams({ rows, cols, tokens, yStride: rows });
      recorder.run(kernel, buffers, params, linearGrid(variant, rows, tokens));
      recorder.upload();
      await timeRuns(gpu, recorder, 1); // compiles on some adapters
    }
    return await timeInTurn(gpu, recorders);
  } finally {
    for (const recorder of recorders) recorder.destroy();
    for (const each of made) gpu.buffers.destroy(each);
  }
}

async function timeInTurn(gpu: GpuContext, recorders: readonly Recorder[]): Promise<number[]> {
  let slowest = 0.1;
  for (const recorder of recorders) {
    slowest = Math.max(slowest, await timeRuns(gpu, recorder, 1));
  }
  const repeats = Math.ceil(MILLISECONDS_PER_ROUND / slowest);
  const best = recorders.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, recorder] of recorders.entries()) {
      const time = (await timeRuns(gpu, recorder, repeats)) / repeats;
      best[i] = Math.min(best[i] as number, time);
    }
  }
  return best;
}

async function timeRuns(gpu: GpuContext, recorder: Recorder, repeats: number): Promise<number> {
  const start = performance.now();
  recorder.replay(repeats);
  await gpu.idle();
  return performance.now() - start;
}
