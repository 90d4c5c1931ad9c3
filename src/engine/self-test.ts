import { createCache } from "../cache/create-cache.ts";
import { resolveCacheOptions } from "../cache/options.ts";
import { ShaderError } from "../errors.ts";
import { resolveSampling } from "../sampling/options.ts";
import { Decoder } from "./decoder.ts";
import { prefill } from "./prefill.ts";
import type { Runtime } from "./runtime.ts";

/** Two ways to the same logits may differ by so much of their spread: f16 rows, other orders of sums. */
const TOLERANCE = 0.05;

/** Any two will do. */
export const TEST_TOKENS = [0, 1] as const;

/**
 * Two tokens through the model, by the kernels that read prompts, then one by those and one by those that
 * decode: the chosen variants have to agree, on the model's own weights. Takes about two decode steps.
 * @throws ShaderError where they don't, or where the logits are not finite: this GPU, its driver or the
 * model's numbers would give gibberish.
 */
export async function selfTest(runtime: Runtime): Promise<void> {
  const { gpu, config, cache } = runtime;
  const options = resolveCacheOptions({ kvDtype: cache.shape.dtype }, config.numLayers);
  const trial: Runtime = {
    ...runtime,
    cache: await createCache(gpu, cache.shape, options),
    tracer: undefined,
    timer: undefined,
  };
  const decoder = new Decoder(trial);
  try {
    const [first, second] = TEST_TOKENS;
    const together = await promptLogits(trial, decoder, TEST_TOKENS);
    trial.cache.clear();
    await promptLogits(trial, decoder, [first]);
    const stepped = await decoder.step(second);
    check(together, stepped);
  } finally {
    decoder.destroy();
    trial.cache.destroy();
    gpu.buffers.resetPeak();
  }
}

async function promptLogits(
  runtime: Runtime,
  decoder: Decoder,
  tokenIds: readonly number[],
): Promise<Float32Array> {
  const sampling = resolveSampling({}, runtime.config.vocabSize);
  decoder.begin(tokenIds, []);
  await prefill(
    runtime,
    Uint32Array.from(tokenIds),
    async ({ recorder, hidden, submit }) => {
      decoder.recordFirst(recorder, hidden, tokenIds.length - 1, sampling);
      await submit();
    },
    { promptTokens: tokenIds.length, evict: false },
  );
  const bytes = await decoder.readPromptLogits();
  return new Float32Array(bytes.buffer, 0, runtime.config.vocabSize);
}

function check(together: Float32Array, stepped: Float32Array): void {
  let [least, most, worst] = [Infinity, -Infinity, 0];
  for (const [id, expected] of together.entries()) {
    const actual = stepped[id] as number;
    if (!Number.isFinite(expected) || !Number.isFinite(actual)) {
      throw new ShaderError("self-test", ["the model's logits are not finite on this GPU"]);
    }
    least = Math.min(least, expected);
    most = Math.max(most, expected);
    worst = Math.max(worst, Math.abs(expected - actual));
  }
  if (worst <= TOLERANCE * (most - least)) return;
  const figures = `${worst.toPrecision(3)} of ${(most - least).toPrecision(3)}`;
  throw new ShaderError("self-test", [
    `prefill and decode disagree about the next token's logits by ${figures}: ` +
      `update the GPU's driver or the browser, or use another adapter`,
  ]);
}
