import { prefill } from "../../src/engine/prefill.ts";
import type { Runtime } from "../../src/engine/runtime.ts";
import { recordLogits } from "../../src/model/forward.ts";

/**
 * Append tokens to the cache without evicting anything, and read the logits of the last `rows` of them back: f32
 * `[rows][vocabSize]`. Row i predicts the token after `tokenIds[tokenIds.length - rows + i]`.
 */
export async function nextTokenLogits(
  runtime: Runtime,
  tokenIds: readonly number[],
  rows: number,
): Promise<Float32Array> {
  const { gpu, config, linear, weights, cache } = runtime;
  const bytes = rows * config.vocabSize * 4;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const usage = STORAGE | COPY_SRC;
  const logits = gpu.buffers.create({ label: "logits", purpose: "activations", bytes, usage });
  const read = { label: "logit read-back", purpose: "staging", bytes } as const;
  const staging = gpu.buffers.create({ ...read, usage: MAP_READ | COPY_DST });
  try {
    const range = { start: tokenIds.length - rows, tokens: rows };
    await prefill(
      runtime,
      Uint32Array.from(tokenIds),
      async ({ recorder, hidden, submit }) => {
        recordLogits(recorder, config, linear, weights, hidden, logits, range);
        await submit();
      },
      { promptTokens: cache.tokens + tokenIds.length, evict: false },
    );
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(logits, 0, staging, 0, bytes);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(staging.mapAsync(GPUMapMode.READ));
    return new Float32Array(staging.getMappedRange()).slice();
  } finally {
    gpu.buffers.destroy(logits);
    gpu.buffers.destroy(staging);
  }
}
