/**
 * Times the linear layers of SmolLM2-135M, variant by variant, after checking each against its twin:
 *
 *   node src/cli/run-ts.mjs test/bench/linear.bench.ts
 *
 * `wall` is the median time; `cpu` is that of the driver's threads, halved: what two free cores would
 * take, hardly moved by other load (CPU adapters on Linux only).
 */
import { readdirSync, readFileSync } from "node:fs";
import { openDawn } from "../../src/cli/dawn.ts";
import type { PlanarLayout } from "../../src/formats/planar.ts";
import { type GpuContext, openGpu } from "../../src/gpu/device.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createLinear, type Matrix } from "../../src/model/linear.ts";
import { defaultChoice, linearCandidates } from "../../src/model/linear-choice.ts";
import {
  describeVariant,
  type LinearForm,
  type LinearVariant,
  type MatmulVariant,
  type MatvecVariant,
} from "../../src/model/linear-variants.ts";
import { storageBuffer } from "../kernels/buffers.ts";
import { expectLinear, uploadMatrix } from "../kernels/linear-case.ts";
import { seededRandom } from "../random.ts";
import { PLANAR_LAYOUTS, randomPlanar } from "../reference/planar.ts";

interface Layer {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly layout: PlanarLayout;
  readonly form: LinearForm;
  /** Matrices of this shape in the model. */
  readonly count: number;
}

const { q4, q8 } = PLANAR_LAYOUTS;
const LAYERS: readonly Layer[] = [
  { name: "qkv", rows: 960, cols: 576, layout: q4, form: { norm: true }, count: 30 },
  { name: "output", rows: 576, cols: 576, layout: q4, form: { residual: true }, count: 30 },
  {
    name: "gate, up",
    rows: 3072,
    cols: 576,
    layout: q4,
    form: { norm: true, gated: true },
    count: 30,
  },
  { name: "down", rows: 576, cols: 1536, layout: q4, form: { residual: true }, count: 30 },
  { name: "lm_head", rows: 49_152, cols: 576, layout: q8, form: { norm: true }, count: 1 },
];
const PREFILL_TOKENS = 64;
const ROUNDS = 9;

export async function main(): Promise<number> {
  const gpu = await openGpu({ gpu: await openDawn() });
  console.log(gpu.info.description || gpu.info.vendor);
  const { matvec, matmul } = linearCandidates(gpu);
  const matrices = new Map(LAYERS.map((layer) => [layer, makeMatrices(gpu, layer)]));
  for (const variant of matvec) await bench(gpu, variant, 1, LAYERS, matrices);
  const layers = LAYERS.filter(({ name }) => name !== "lm_head");
  for (const variant of matmul) await bench(gpu, variant, PREFILL_TOKENS, layers, matrices);
  gpu.destroy();
  return 0;
}

/** As many different matrices as the model has, so that weights come from memory, not from a cache. */
function makeMatrices(gpu: GpuContext, { rows, cols, layout, count }: Layer): Matrix[] {
  const planar = randomPlanar(seededRandom(rows + cols), layout, rows, cols);
  return Array.from({ length: count }, () => uploadMatrix(gpu, [planar]));
}

async function bench(
  gpu: GpuContext,
  variant: MatvecVariant | MatmulVariant,
  tokens: number,
  layers: readonly Layer[],
  matrices: ReadonlyMap<Layer, readonly Matrix[]>,
): Promise<void> {
  console.log(`\n${describeVariant(variant)}; ${tokens} token${tokens > 1 ? "s" : ""}`);
  const total = { wall: 0, cpu: 0 };
  for (const layer of layers) {
    const { name, rows, cols, layout, form, count } = layer;
    const shape = { rows: Math.min(rows, 130), cols, tokens: Math.min(tokens, 7) };
    await expectLinear(gpu, variant, layout, form, [shape]);
    const { wall, cpu } = await time(gpu, variant, tokens, layer, matrices.get(layer) ?? []);
    total.wall += wall;
    total.cpu += cpu;
    const gigaflops = (2 * rows * cols * tokens * count) / 1e6;
    console.log(
      `  ${name.padEnd(9)} ${figures(wall, cpu)}` +
        `  ${(gigaflops / wall).toFixed(1)} GFLOP/s by wall, ${(gigaflops / cpu).toFixed(1)} by cpu`,
    );
  }
  console.log(`  ${"all".padEnd(9)} ${figures(total.wall, total.cpu)}`);
}

const figures = (wall: number, cpu: number): string =>
  `wall ${wall.toFixed(2).padStart(8)} ms  cpu ${cpu.toFixed(2).padStart(8)} ms`;

async function time(
  gpu: GpuContext,
  variant: LinearVariant,
  tokens: number,
  { rows, cols, layout, form }: Layer,
  matrices: readonly Matrix[],
): Promise<{ wall: number; cpu: number }> {
  const usual = defaultChoice(gpu);
  const isMatvec = variant.kernel === "matvec_rows" || variant.kernel === "matvec_lanes";
  const choice = isMatvec ? { ...usual, matvec: variant } : { ...usual, matmul: variant };
  const use = { ...form, layouts: [layout], tokens: tokens === 1 ? "one" : "many" } as const;
  const linear = await createLinear(gpu, [use], { choice });
  const made = [
    storageBuffer(gpu, seededRandom(1).normals(tokens * cols)),
    storageBuffer(gpu, new Float32Array(tokens * rows)),
    storageBuffer(gpu, new Float32Array(cols).fill(1)),
  ] as const;
  const [x, y, gain] = made;
  const recorder = new Recorder(gpu.device, gpu.buffers, matrices.length, "bench");
  const norm = form.norm ? { norm: { gain, eps: 1e-5 } } : {};
  for (const matrix of matrices) {
    const { residual = false, gated = false } = form;
    linear.record(recorder, { matrix, tokens, x, y, ...norm, residual, gated });
  }
  recorder.upload();
  const run = async (): Promise<{ wall: number; cpu: number }> => {
    const [start, threads] = [performance.now(), threadMs()];
    recorder.replay(1);
    await gpu.idle();
    return { wall: performance.now() - start, cpu: (threadMs() - threads) / 2 };
  };
  await run(); // compiles on some adapters
  const samples = [];
  for (let round = 0; round < ROUNDS; round++) samples.push(await run());
  recorder.destroy();
  for (const buffer of made) gpu.buffers.destroy(buffer);
  return { wall: median(samples.map((s) => s.wall)), cpu: median(samples.map((s) => s.cpu)) };
}

/** CPU time of this process's threads but the first, in milliseconds; 0 where it can't be read. */
function threadMs(): number {
  if (process.platform !== "linux") return 0;
  let sum = 0;
  for (const thread of readdirSync("/proc/self/task")) {
    if (Number(thread) === process.pid) continue;
    try {
      const [running] = readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ");
      sum += Number(running) / 1e6;
    } catch {
      // The thread has just ended.
    }
  }
  return sum;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
