import {
  createWorkerEngine,
  type Engine,
  type GenerateResult,
  InvalidOptionError,
  loadEngine,
  openAi,
} from "ziggurat-llm";
import { inlineWorker } from "ziggurat-llm/inline";
import { parseTrace, type RunTrace, timelineOf, traceToJson } from "ziggurat-llm/profile";
import { loadEngine as loadStandalone } from "ziggurat-llm/standalone";
import "ziggurat-llm/elements";
import "ziggurat-llm/worker";

/** Uses most of what the package's types say; it is only compiled. */
export async function use(file: File): Promise<GenerateResult> {
  const cache = { policy: "pyramidkv", budget: "12%" } as const;
  const engine: Engine = await createWorkerEngine(await inlineWorker(), file, { cache });
  const answer = await openAi(engine).chat.completions.create({
    messages: [{ role: "user", content: "Hello!" }],
  });
  const stream = file.size > 1000;
  const either = await openAi(engine).chat.completions.create({ messages: [], user: "a", stream });
  if ("choices" in either) document.body.append(either.choices[0].message.content);
  const kept: number = answer.usage?.kv_cache?.saved_bytes ?? 0;
  const local = await loadEngine("model.gguf", { onProgress: ({ loadedBytes }) => loadedBytes });
  const other: Engine = await loadStandalone(new URL("https://host.example/model.gguf"));
  for await (const piece of local.generate("Once")) document.body.append(piece.text);
  try {
    // @ts-expect-error: no policy of that name
    await other.setCache({ policy: "pyramid" });
  } catch (error) {
    if (error instanceof InvalidOptionError) document.body.append(error.option, String(kept));
  }
  const trace: RunTrace = parseTrace(traceToJson(await engine.trace()));
  document.body.append(String(timelineOf(trace).total.at(-1)));
  return engine.generate([{ role: "user", content: "Hello!" }]).result;
}
