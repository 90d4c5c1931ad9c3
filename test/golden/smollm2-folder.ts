import { parseArgs } from "node:util";
import { openDawn } from "../../src/cli/dawn.ts";
import { findModel } from "../../src/cli/model.ts";
import { loadEngine, type LoadOptions, type MatrixReport } from "../../src/index.ts";
import { meanDifference } from "./compare.ts";
import { readGolden } from "./format.ts";

/**
 * Most nats by which log-probabilities may differ in the mean from those of the GGUF file. As f16 the dequantised
 * weights are rounded, by up to 2^-11 of each; q4 finds the file's own blocks again.
 */
const MOST = { f16: 0.002, q8: 0.05, q4: 1e-4 } as const;

/**
 * `node src/cli/run-ts.mjs test/golden/smollm2-folder.ts DIR [--weights f16,q8,q4]`: the default model as safetensors
 * (`make_hf.py --smollm2 DIR`) must give the log-probabilities of its GGUF file, and of PyTorch.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const options = { weights: { type: "string", default: "f16" } } as const;
  const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
  const [folder] = positionals;
  if (folder === undefined) throw new Error("name the folder that make_hf.py --smollm2 made");
  const golden = readGolden("smollm2-score");
  const [score] = golden.cases;
  const gpu = await openDawn();
  const logprobs = async (model: string, how: LoadOptions): Promise<readonly number[]> => {
    const started = performance.now();
    const engine = await loadEngine(await findModel(model), {
      gpu,
      cache: { kvDtype: "f32" },
      ...how,
    });
    const seconds = (performance.now() - started) / 1000;
    const megabytes = engine.memory().weights / 1e6;
    console.log(
      `${model}: ${megabytes.toFixed(1)} MB of weights, loaded in ${seconds.toFixed(1)} s`,
    );
    const result = await engine.score(score.tokenIds, { contextTokens: score.context });
    await engine.destroy();
    return result.logprobs;
  };
  const file = await logprobs(`public/models/${golden.header.model.file}`, {});
  let isSame = true;
  for (const kind of values.weights.split(",") as (keyof typeof MOST)[]) {
    let matrices: readonly MatrixReport[] = [];
    const ours = await logprobs(folder, {
      ...(kind === "f16" ? {} : { weights: kind }),
      onProgress: (progress) => (matrices = progress.matrices ?? matrices),
    });
    const errors = matrices.flatMap(({ relativeError = 0 }) => relativeError);
    const mean = meanDifference(ours, file);
    isSame &&= mean <= MOST[kind];
    console.log(
      `${kind}: log-probabilities of ${ours.length} tokens differ from the GGUF file's by ${mean.toExponential(2)} nats ` +
        `in the mean (at most ${MOST[kind]}), from PyTorch's by ${meanDifference(ours, score.logprobs).toExponential(2)}; ` +
        `largest error of a matrix ${(100 * Math.max(...errors)).toFixed(2)} %`,
    );
  }
  return isSame ? 0 : 1;
}
