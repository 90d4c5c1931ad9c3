import { onDemand } from "../on-demand.ts";
import * as base from "./shaders/base.ts";
import type { ShaderTexts } from "./shaders/texts.ts";

/** Kernels that not every app needs, by name, each group in a file of its own. */
const LATER: readonly (readonly [
  names: RegExp,
  purpose: string,
  load: () => Promise<{ readonly TEXTS: ShaderTexts }>,
])[] = [
  [/^(attention|matmul|matvec)_\w*rows$/, "CPU adapters", () => import("./shaders/for-cpus.ts")],
  [
    /^(compact|kept|place|pool|score|select|split)_/,
    "compressing caches",
    () => import("./shaders/compression.ts"),
  ],
  [/^(count|sample)_/, "sampling", () => import("./shaders/sampling.ts")],
  [/^(logprob|token_logprob)/, "log-probabilities", () => import("./shaders/logprobs.ts")],
  [/^quantize_/, "quantising weights", () => import("./shaders/quantizing.ts")],
  [/^probe_/, "probing an adapter", () => import("./shaders/probes.ts")],
];

/**
 * The text of a kernel, undefined where there is none of that name, and those that it may import.
 * @throws ModuleLoadError
 */
export async function shaderSource(name: string): Promise<{
  readonly text: string | undefined;
  readonly shared: ShaderTexts["shared"];
}> {
  const { kernels, shared } = base.TEXTS;
  const [, purpose, load] = LATER.find(([names]) => names.test(name)) ?? [];
  if (purpose === undefined || load === undefined) return { text: kernels[name], shared };
  const { TEXTS: later } = await onDemand(`kernels for ${purpose}`, load);
  return { text: later.kernels[name], shared: { ...shared, ...later.shared } };
}

/** Fetch all groups ahead, so that none is fetched later. */
export async function laterShaders(): Promise<void> {
  await Promise.all(LATER.map(([, , load]) => load()));
}
