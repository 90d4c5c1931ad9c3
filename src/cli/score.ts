import { type OptionSpecs, readArgs, UsageError } from "./args.ts";
import { cacheLine } from "./cache-line.ts";
import { CACHE_OPTIONS } from "./cache-options.ts";
import { reportWithKept, withEngine } from "./engine.ts";
import { readText } from "./generate.ts";
import { MODEL_OPTIONS } from "./model.ts";

/** Options of `ziggurat score`. */
export const SCORE_OPTIONS: OptionSpecs = {
  ...MODEL_OPTIONS,
  ...CACHE_OPTIONS,
  "text-file": { type: "string" },
  context: { type: "string" },
};

/** `ziggurat score`: log-probabilities of a text's tokens after a context. */
export async function score(argv: readonly string[]): Promise<void> {
  const args = readArgs(argv, SCORE_OPTIONS);
  const contextTokens = args.count("context");
  if (contextTokens === undefined) throw new UsageError("--context is required");
  const text = await readText(args.required("text-file"));
  const result = await withEngine(args, async (engine, signal) => {
    const scored = await engine.score(text, { contextTokens, signal });
    return { ...scored, cache: await reportWithKept(args, engine, scored.cache, contextTokens) };
  });
  if (args.flag("json")) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const { logprobs, nll, perplexity, cache } = result;
  process.stdout.write(
    `${logprobs.length} tokens after ${contextTokens}: ` +
      `${nll.toFixed(4)} nats per token, perplexity ${perplexity.toFixed(3)}\n${cacheLine(cache)}\n`,
  );
}
