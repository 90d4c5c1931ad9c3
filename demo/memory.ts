import { formatBytes } from "../src/elements.ts";
import { type Engine, InvalidOptionError, type PolicyName } from "../src/index.ts";
import { buffersAt, type RunTrace, type TokenScores, type TraceBuffer } from "../src/profile.ts";
import type { ModelChoice } from "./chat-state.ts";
import { DEFAULT_MODEL, defaultModelUrl } from "./default-model.ts";
import { byId, setHidden } from "./dom.ts";
import { connectCompare } from "./memory/compare.ts";
import { showOffer } from "./memory/default-offer.ts";
import { markInDevTools } from "./memory/devtools.ts";
import { connectExports } from "./memory/exports.ts";
import { connectFiles } from "./memory/files.ts";
import { type GpuWatch, watchGpu } from "./memory/gpu-watch.ts";
import { grownLabels, leftLabels, showLeaks } from "./memory/leak-check.ts";
import { loadWords } from "./memory/load-words.ts";
import { connectNotices } from "./memory/notices.ts";
import { cacheOptions, connectPlanner, fillPolicies } from "./memory/planner.ts";
import { readRunFile } from "./memory/run-file.ts";
import { loadProblem, runProblem } from "./memory/run-problem.ts";
import { connectRunView } from "./memory/run-view.ts";
import { connectTask } from "./memory/task.ts";
import { loadModel } from "./model-loading.ts";
import { followRun } from "./shared-run.ts";
import { applyTheme, readTheme } from "./theme.ts";

/** While a call runs the trace is fetched this often. */
const REFRESH_MS = 500;

/** Turns that the leak check runs. */
const LEAK_TURNS = 3;

const OFFERED_URL = defaultModelUrl(document.baseURI);
const OFFERED: ModelChoice = { name: DEFAULT_MODEL.name, source: OFFERED_URL };

const form = byId("run-form", HTMLFormElement);
const keep = byId("keep", HTMLButtonElement);
const value = (id: string): string =>
  (document.getElementById(id) as HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement).value;

/** A task is under way. */
let underWay = false;
const view = connectRunView(scoresOf);
const compare = connectCompare();
const planner = connectPlanner();
const task = connectTask(switchActions);
const notices = connectNotices(
  (remedy) => {
    if (remedy === "load-again") void load(chosen);
    else byId("open-model", HTMLButtonElement).click();
  },
  () => switchActions(underWay),
);
/** What was loaded last, or is offered first. */
let chosen = OFFERED;
let engine: Engine | undefined;
let gpuWatch: GpuWatch | undefined;
let shown: RunTrace | undefined;
/** The engine that made what is shown, if it is here. */
let maker: Engine | undefined;
const exports = connectExports(() => shown, task.say);
applyTheme(readTheme());

/** What begins a task is off while one is under way; what needs a GPU, until one is known to be there. */
function switchActions(isBusy: boolean): void {
  underWay = isBusy;
  const set = (ids: readonly string[], disabled: boolean): void => {
    for (const id of ids) byId(id, HTMLButtonElement).disabled = disabled;
  };
  set(["open-run", "run", "leaks"], isBusy);
  set(["load", "open-model"], isBusy || !notices.canRun);
}

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
    if (!isTold) task.say((error as Error).message, true);
    return undefined;
  }
}

/** The run of a chat page in another tab, where the address names one; until another run is shown. */
const stopFollowing = followRun(location.hash, {
  onRun(run, isBusy) {
    show(run);
    task.say(`${run.model.name} in the chat page${isBusy ? " is answering…" : "."}`);
  },
  onNone() {
    task.say("The chat page has no model loaded now: load one there, or here.");
  },
  onGone() {
    task.say(
      "The chat page was closed or loaded again: open this page from it once more, or load a model here." +
        (shown === undefined ? "" : " What is shown is the last that came."),
    );
  },
});

function load(choice: ModelChoice): Promise<void> {
  return task.run(
    `Loading ${choice.name}…`,
    async (signal) => {
      stopFollowing();
      notices.show(undefined);
      chosen = choice;
      await notices.looked; // files can be dropped before
      await letGo();
      const kernelTimes = byId("kernel-times", HTMLInputElement).checked;
      const scores = byId("scores", HTMLInputElement).checked;
      const onFigures: Parameters<typeof loadModel>[3] = (figures) =>
        task.progress(figures.loadedBytes / Math.max(figures.totalBytes, 1), loadWords(figures));
      engine = await loadModel(choice, {}, signal, onFigures, {
        trace: { kernelTimes, scores },
        makeWorker() {
          const worker = new Worker(new URL("./memory.worker.ts", import.meta.url), {
            type: "module",
          });
          gpuWatch = watchGpu(worker);
          return worker;
        },
      });
      setHidden(form, false);
      await showLive(engine);
      return `${engine.config.name} is loaded.`;
    },
    (error) => {
      notices.show(loadProblem(error));
      return true;
    },
  );
}

/** Let go of the engine; there is nothing to run with until the next one is loaded. */
async function letGo(): Promise<void> {
  const gone = engine;
  engine = undefined;
  setHidden(form, true);
  await gone?.destroy();
}

/** Do something with the engine that is loaded; an error that ends the engine is told at length. */
function runWith(
  what: string,
  work: (on: Engine, signal: AbortSignal) => Promise<string>,
): Promise<void> {
  return task.run(
    what,
    (signal) => {
      notices.show(undefined);
      return work(engine as Engine, signal);
    },
    (error) => {
      const problem = runProblem(error);
      if (problem === undefined) return false;
      notices.show(problem);
      void letGo();
      return true;
    },
  );
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
  task.progress(0);
  const maxTokens = Number(value("run-tokens"));
  const answer = on.generate([{ role: "user", content: value("prompt") }], {
    maxTokens,
    signal,
    onPrefill: ({ doneTokens, totalTokens }) => task.progress(doneTokens / totalTokens),
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
  return runWith("Running turns, then letting go of everything…", async (on, signal) => {
    showLeaks([]);
    const live: TraceBuffer[][] = [];
    for (let turn = 0; turn < LEAK_TURNS; turn++) {
      await runPrompt(on, signal);
      if (shown !== undefined) live.push(buffersAt(shown, shown.end));
    }
    await letGo();
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
  await task.run("Reading the run…", async () => {
    stopFollowing();
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

connectFiles(
  (choice) => void load(choice),
  (files) => void openFiles(files),
);
byId("load", HTMLButtonElement).addEventListener("click", () => {
  void load(OFFERED);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void runWith("Running…", async (on, signal) => {
    await runPrompt(on, signal);
    return "Done.";
  });
});
byId("leaks", HTMLButtonElement).addEventListener("click", () => void checkLeaks());
keep.addEventListener("click", () => shown && compare.keep(shown));
fillPolicies(byId("run-policy", HTMLSelectElement), "pyramidkv");
byId("prompt", HTMLTextAreaElement).value =
  "The terraces of a ziggurat rise one above the other. ".repeat(40);
switchActions(false);
void showOffer(OFFERED_URL);
