import { type Engine, ShaderError } from "../../index.ts";

const STEPS = 8;

/** Two tokens whose log-probabilities are closer may change places through rounding. */
const CLOSE_CALL_NATS = 0.05;

/**
 * Check that one token at a time and many at a time give the same answer: each goes through kernels of its own, so a
 * mistake in either shows, whatever the model. Nothing that fails here is worth timing.
 * @throws ShaderError when they differ by more than rounding.
 */
export async function checkPaths(
  engine: Engine,
  promptIds: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const answer = async (ids: readonly number[], maxTokens: number): Promise<readonly number[]> =>
    (await engine.generate(ids, { maxTokens, signal }).result).tokenIds;
  const decoded = await answer(promptIds, STEPS);
  for (let step = 1; step < decoded.length; step += 2) {
    const ids = [...promptIds, ...decoded.slice(0, step)];
    const [prefilled] = await answer(ids, 1);
    const expected = decoded[step] as number;
    if (prefilled === expected) continue;
    const logprob = async (id: number): Promise<number> => {
      const scored = await engine.score([...ids, id], { contextTokens: ids.length, signal });
      return scored.logprobs[0] as number;
    };
    const nats =
      prefilled === undefined ? Infinity : (await logprob(prefilled)) - (await logprob(expected));
    if (Math.abs(nats) < CLOSE_CALL_NATS) continue;
    throw new ShaderError("decode", [
      `step ${step} gave token ${expected}, the same text read at once gives ${prefilled ?? "its end"}`,
    ]);
  }
}
