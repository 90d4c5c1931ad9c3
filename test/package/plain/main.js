import { createWorkerEngine, loadEngine } from "./ziggurat-llm/dist/package/standalone.js";
import { inlineWorker } from "./ziggurat-llm/dist/package/inline.js";

/** What the test calls from outside. */
window.answer = async () => {
  const engine = await loadEngine("tiny-flow.gguf");
  const { text } = await engine.generate("31415926", { maxTokens: 8 }).result;
  await engine.destroy();
  return { text, total: engine.memory().total };
};
window.inlineError = async () => {
  const opened = createWorkerEngine(await inlineWorker(), "missing.gguf");
  return opened.then(
    () => "loaded",
    (error) => `${error.name} ${error.message}`,
  );
};
document.body.append("ready");
