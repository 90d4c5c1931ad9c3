import { formatBytes } from "../src/elements.ts";
import {
  createWorkerEngine,
  type Engine,
  InvalidOptionError,
  type PolicyName,
} from "../src/index.ts";
import { buffersAt, type RunTrace, type TokenScores, type TraceBuffer } from "../src/profile.ts";
import { defaultModelUrl } from "./default-model.ts";
import { byId, setHidden, setText } from "./dom.ts";
import { connectCompare } from "./memory/compare.ts";
import { connectExports } from "./memory/exports.ts";
import { type GpuWatch, watchGpu } from "./memory/gpu-watch.ts";
import { grownLabels, leftLabels, showLeaks } from "./memory/leak-check.ts";
import { markInDevTools } from "./memory/devtools.ts";
import { cacheOptions, connectPlanner, fillPolicies } from "./memory/planner.ts";
import { readRunFile } from "./memory/run-file.ts";
import { connectRunView } from "./memory/run-view.ts";
import { followRun } from "./shared-run.ts";

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

const view = connectRunView(scoresOf);
const compare = connectCompare();
const planner = connectPlanner();
let engine: Engine | undefined;
let gpuWatch: GpuWatch | undefined;
let shown: RunTrace | undefined;
/** The engine that made what is shown, if it is here. */
let maker: Engine | undefined;
let abort: AbortController | undefined;
const exports = connectExports(() => shown);

/** @param counted bytes after each change, by the second count of a run on this page */
function show(run: RunTrace, counted?: readonly number[]): void {
  shown = run;
  view.show(run, counted);
  planner.showRun(run);
  exports.enable();
  keep.disabled = false;
}

/** How a token ranked: what the run holds, or its engine tells; that is then exported with the run. */
async function scoresOf(position: number): Promise<TokenScores | undefined> {
  const run = shown;
  const known = run?.scores?.find((each) => each.position === position)?.heads;
  if (known !== undefined || maker === undefined) return known;
  try {
    const heads = await maker.tokenScores(position);
    if (heads !== undefined && run !== undefined && shown === run) {
      shown = { ...run, scores: [...(run.scores ?? []), { position, heads }] };
    }
    return heads;
  } catch (error) {
    // Busy, destroyed, or loaded without scores: what is told beside the grid. Anything else is news.
    const isTold = error instanceof InvalidOptionError || (error as Error).name === "AbortError";
    if (!isTold) setText(status, (error as Error).message);
    return undefined;
  }
}

/** The run of a chat page in another tab, where the address names one; until another run is shown. */
const stopFollowing = followRun(location.hash, {
  onRun(run, isBusy) {
    show(run);
    setText(status, `${run.model.name} in the chat page${isBusy ? " is answering…" : "."}`);
  },
  onNone() {
    setText(status, "The chat page has no model loaded now: load one there, or here.");
  },
});

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
  stopFollowing();
  return busy("Loading the model…", async (signal) => {
    await engine?.destroy();
    engine = undefined;
    setHidden(progress, false);
    const worker = new Worker(new URL("./memory.worker.ts", import.meta.url), { type: "module" });
    gpuWatch = watchGpu(worker);
    const kernelTimes = byId("kernel-times", HTMLInputElement).checked;
    engine = await createWorkerEngine(worker, source, {
      signal,
      trace: { kernelTimes, scores: byId("scores", HTMLInputElement).checked },
      onProgress: ({ loadedBytes, totalBytes }) => (progress.value = loadedBytes / totalBytes),
    });
    setHidden(form, false);
    await showLive(engine);
    return `${engine.config.name} is loaded.`;
  });
}

/** Show the trace as it is, and the second count of at least as many changes. */
async function showLive(on: Engine): Promise<void> {
  const run = await on.trace();
  await gpuWatch?.update();
  maker = on;
  show(run, gpuWatch?.totals);
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
    await showLive(on);
    // A long trace takes longer to fetch: never spend more than a tenth of the time on it.
    const pause = Math.max(REFRESH_MS, 10 * (performance.now() - began));
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, pause))]);
  }
  await settled;
  await showLive(on);
  if (byId("devtools", HTMLInputElement).checked && shown) {
    markInDevTools(shown, performance.now());
  }
}

function checkLeaks(): Promise<void> {
  return busy("Running turns, then letting go of everything…", async (signal) => {
    const on = engine as Engine;
    showLeaks([]);
    const live: TraceBuffer[][] = [];
    for (let turn = 0; turn < LEAK_TURNS; turn++) {
      await runPrompt(on, signal);
      if (shown !== undefined) live.push(buffersAt(shown, shown.end));
    }
    await on.destroy();
    engine = undefined;
    setHidden(form, true);
    const left = await gpuWatch?.survivors();
    if (left === undefined) return "The worker ended before it could say what it had left.";
    // The first turn makes what later ones use again.
    const [before = [], after = []] = live.slice(-2);
    const leaks = [...grownLabels(before, after), ...leftLabels(left)];
    showLeaks(leaks);
    const { total } = on.memory();
    if (leaks.length === 0 && total === 0) {
      return `No leak: ${LEAK_TURNS} turns, nothing grew, and 0 B were left when the engine was destroyed.`;
    }
    const bytes = leaks.reduce((sum, leak) => sum + leak.bytes, 0);
    return `Leak: ${formatBytes(Math.max(bytes, total))} in ${LEAK_TURNS} turns, listed below.`;
  });
}

/** Show an exported run, or what was measured of quality; several runs are compared. */
async function openFiles(files: readonly File[]): Promise<void> {
  stopFollowing();
  await busy("Reading the run…", async () => {
    let said = "";
    for (const file of files) {
      said = `${file.name}: ${await openJson(file)}`;
      if (files.length > 1 && shown !== undefined) compare.keep(shown);
    }
    return files.length > 1 ? `${files.length} runs are compared below. ${said}` : said;
  });
}

async function openJson(file: File): Promise<string> {
  const read = await readRunFile(file);
  if ("quality" in read) {
    planner.showQuality(read.quality);
    return "measured quality, shown under What if.";
  }
  maker = undefined;
  show(read.run);
  return `${read.run.model.name}, ${read.run.cache.policy}.`;
}

function open(files: readonly File[]): void {
  const model = files.find(({ name }) => name.endsWith(".gguf"));
  if (model !== undefined) void load(model);
  else if (files.length > 0) void openFiles(files);
}

for (const [button, input] of [
  ["open-model", "model-file"],
  ["open-run", "run-file"],
] as const) {
  const picker = byId(input, HTMLInputElement);
  byId(button, HTMLButtonElement).addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const files = [...(picker.files ?? [])];
    picker.value = "";
    open(files);
  });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open([...(event.dataTransfer?.files ?? [])]);
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
