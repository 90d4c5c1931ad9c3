import { type Engine, InvalidOptionError } from "../src/index.ts";
import type { ChatState, ModelChoice } from "./chat-state.ts";
import { loadModel, NO_FIGURES } from "./model-loading.ts";
import { describeAnswerProblem, describeLoadProblem } from "./problem.ts";
import { toCacheOptions } from "./settings.ts";

/** The one engine of the page: what is loaded, and in which order things happen to it. */
export interface ModelSlot {
  /** Load a model in place of the one that is there. */
  load(choice: ModelChoice): Promise<void>;
  /** Give up loading; false where nothing loads. */
  cancel(): boolean;
  putAway(): Promise<void>;
  /** Let the cache be as the settings say, when what runs has ended. */
  applyCache(): Promise<void>;
  /** Do something with the engine when what runs has ended; what it throws has ended the engine. */
  use(job: (engine: Engine) => Promise<void>): void;
}

interface SlotOptions {
  readonly state: ChatState;
  update(patch: Partial<ChatState>): void;
  /** A model is there. */
  onReady(): void;
  /** A load has ended, in whichever way. */
  onEnded(): void;
}

/** A slot with nothing in it. */
export function createModelSlot({ state, update, onReady, onEnded }: SlotOptions): ModelSlot {
  let loading: AbortController | undefined;
  /** Loads and answers come one after the other: a new one waits here for the one that it ended. */
  let work: Promise<void> = Promise.resolve();
  /** The cache options that the engine has, as text. */
  let applied = "";

  return {
    load(choice) {
      loading?.abort();
      const own = new AbortController();
      loading = own;
      const unloaded = state.model.step === "ready" ? state.model.choice.name : undefined;
      const old = takeEngine();
      update({ model: { step: "loading", choice, figures: NO_FIGURES } });
      return enqueue(() => loadNow(choice, own, old, unloaded));
    },
    cancel() {
      if (loading === undefined) return false;
      loading.abort();
      loading = undefined;
      update({ model: { step: "none" } });
      return true;
    },
    putAway() {
      const engine = takeEngine();
      update({ model: { step: "none" } });
      return enqueue(async () => engine?.destroy());
    },
    applyCache: () =>
      enqueue(async () => {
        if (state.model.step === "ready") await applyNow(state.model.engine);
      }),
    use(job) {
      void enqueue(async () => {
        if (state.model.step !== "ready") return;
        const { engine } = state.model;
        await applyNow(engine);
        await job(engine).catch(failModel);
      });
    },
  };

  function enqueue(job: () => Promise<void>): Promise<void> {
    work = work.then(job).catch(reportError);
    return work;
  }

  async function loadNow(
    choice: ModelChoice,
    own: AbortController,
    old: Engine | undefined,
    unloaded: string | undefined,
  ): Promise<void> {
    await old?.destroy();
    const cache = toCacheOptions(state.settings, undefined);
    try {
      const engine = await loadModel(choice, cache, own.signal, (figures) => {
        if (loading === own) update({ model: { step: "loading", choice, figures } });
      });
      loading = undefined;
      applied = JSON.stringify(cache);
      update({ model: { step: "ready", choice, engine }, settingsProblem: undefined });
      onReady();
    } catch (error) {
      if (loading !== own) return;
      loading = undefined;
      update({ model: { step: "failed", choice, problem: describeLoadProblem(error, unloaded) } });
    } finally {
      onEnded();
    }
  }

  async function applyNow(engine: Engine): Promise<void> {
    const options = toCacheOptions(state.settings, engine.config.numLayers);
    const wanted = JSON.stringify(options);
    if (wanted === applied) return;
    try {
      await engine.setCache(options);
      applied = wanted;
      update({ settingsProblem: undefined });
    } catch (error) {
      if (!(error instanceof InvalidOptionError)) return failModel(error);
      update({ settingsProblem: error.message });
    }
  }

  /** An answer ended the engine: it is of no more use. */
  function failModel(error: unknown): void {
    if (state.model.step !== "ready") return;
    const { choice } = state.model;
    void takeEngine()?.destroy();
    update({ model: { step: "failed", choice, problem: describeAnswerProblem(error, false) } });
  }

  function takeEngine(): Engine | undefined {
    if (state.model.step !== "ready") return undefined;
    const { engine } = state.model;
    state.model = { step: "none" };
    Object.assign(state, { held: undefined, reopening: undefined });
    applied = "";
    return engine;
  }
}
