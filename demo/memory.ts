import { createWorkerEngine, type Engine, type PolicyName } from "../src/index.ts";
import { parseTrace, type RunTrace } from "../src/profile.ts";
import { defaultModelUrl } from "./default-model.ts";
import { byId, setHidden, setText } from "./dom.ts";
import { connectCompare } from "./memory/compare.ts";
import { connectExports } from "./memory/exports.ts";
import { cacheOptions, connectPlanner, fillPolicies } from "./memory/planner.ts";
import { connectRunView } from "./memory/run-view.ts";

/** While a call runs the trace is fetched this often. */
const REFRESH_MS = 500;

/** Turns that the leak check runs. */
const LEAK_TURNS = 3;

const status = byId("status", HTMLElement);
const progress = byId("progress", HTMLProgressElement);
const form = byId("run-form", HTMLFormElement);
const stop = byId("stop", HTMLButtonElement);
const keep = byId("keep", HTMLButtonElement);
const actions = ["load", "open-model", "run", "leaks"].map((id) => byId(id, HTMLButtonElement));
const value = (id: string): string =>
  (document.getElementById(id) as HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement).value;

const view = connectRunView();
const compare = connectCompare();
let engine: Engine | undefined;
let shown: RunTrace | undefined;
let abort: AbortController | undefined;
const exports = connectExports(() => shown);

function show(run: RunTrace): void {
  shown = run;
  view.show(run);
  exports.enable();
  keep.disabled = false;
}

/** Do something that takes time, one thing at once; says what goes wrong. */
async function busy(what: string, work: (signal: AbortSignal) => Promise<string>): Promise<void> {
  abort = new AbortController();
  for (const button of actions) button.disabled = true;
  stop.disabled = false;
  setText(status, what);
  status.classList.remove("problem");
  try {
    setText(status, await work(abort.signal));
  } catch (error) {
    status.classList.toggle("problem", !abort.signal.aborted);
    const text = error instanceof Error ? error.message : String(error);
    setText(status, abort.signal.aborted ? "Stopped." : text);
  } finally {
    for (const button of actions) button.disabled = false;
    stop.disabled = true;
    setHidden(progress, true);
  }
}

function load(source: URL | File): Promise<void> {
  return busy("Loading the model…", async (signal) => {
    await engine?.destroy();
    engine = undefined;
    setHidden(progress, false);
    const worker = new Worker(new URL("./llm.worker.ts", import.meta.url), { type: "module" });
    const kernelTimes = byId("kernel-times", HTMLInputElement).checked;
    engine = await createWorkerEngine(worker, source, {
      signal,
      trace: { kernelTimes },
      onProgress: ({ loadedBytes, totalBytes }) => (progress.value = loadedBytes / totalBytes),
    });
    setHidden(form, false);
    show(await engine.trace());
    return `${engine.config.name} is loaded.`;
  });
}

/** Run the prompt, and show the trace while it runs. */
async function runPrompt(on: Engine, signal: AbortSignal): Promise<void> {
  await on.setCache(
    cacheOptions(value("run-policy") as PolicyName, { budget: value("run-budget") }),
  );
  setHidden(progress, false);
  const maxTokens = Number(value("run-tokens"));
  const answer = on.generate([{ role: "user", content: value("prompt") }], {
    maxTokens,
    signal,
    onPrefill: ({ doneTokens, totalTokens }) => (progress.value = doneTokens / totalTokens),
  });
  let ended = false;
  const settled = answer.result.finally(() => (ended = true));
  settled.catch(() => {}); // awaited below
  while (!ended) {
    const began = performance.now();
    show(await on.trace());
    // A long trace takes longer to fetch: never spend more than a tenth of the time on it.
    const pause = Math.max(REFRESH_MS, 10 * (performance.now() - began));
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, pause))]);
  }
  await settled;
  show(await on.trace());
}

function checkLeaks(): Promise<void> {
  return busy("Running turns, then letting go of everything…", async (signal) => {
    const on = engine as Engine;
    for (let turn = 0; turn < LEAK_TURNS; turn++) await runPrompt(on, signal);
    await on.destroy();
    engine = undefined;
    setHidden(form, true);
    const { total } = on.memory();
    return total === 0
      ? `No leak: ${LEAK_TURNS} turns, and 0 B are left after the engine was destroyed.`
      : `${total} bytes are left after the engine was destroyed.`;
  });
}

async function openRun(file: File): Promise<void> {
  await busy("Reading the run…", async () => {
    const trace = parseTrace(await file.text());
    show(trace);
    return `${file.name}: ${trace.model.name}, ${trace.cache.policy}.`;
  });
}

const open = (file: File): void => void (file.name.endsWith(".gguf") ? load(file) : openRun(file));
for (const [button, input] of [
  ["open-model", "model-file"],
  ["open-run", "run-file"],
] as const) {
  const picker = byId(input, HTMLInputElement);
  byId(button, HTMLButtonElement).addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const file = picker.files?.[0];
    picker.value = "";
    if (file !== undefined) open(file);
  });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file !== undefined) open(file);
});
byId("load", HTMLButtonElement).addEventListener("click", () => {
  void load(defaultModelUrl(document.baseURI));
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void busy("Running…", async (signal) => {
    await runPrompt(engine as Engine, signal);
    return "Done.";
  });
});
stop.addEventListener("click", () => abort?.abort());
byId("leaks", HTMLButtonElement).addEventListener("click", () => void checkLeaks());
keep.addEventListener("click", () => shown && compare.keep(shown));
fillPolicies(byId("run-policy", HTMLSelectElement), "pyramidkv");
byId("prompt", HTMLTextAreaElement).value =
  "The terraces of a ziggurat rise one above the other. ".repeat(40);
connectPlanner();
