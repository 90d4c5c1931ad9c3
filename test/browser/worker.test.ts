import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BuiltSite, openOwnPages, openWatched, type WatchedPage } from "./site.ts";

let site: BuiltSite;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  site = await openOwnPages({ root: "test/browser/worker-page", pages: ["index.html"] });
  watched = await openWatched(site, { expectedLog: /404/ });
  page = watched.page;
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
});

test("errors in the worker are the page's own classes, and addresses the page's", async () => {
  const errors = await page.evaluate(async () => {
    const { createWorkerEngine, errors: classes, makeWorker } = window.app;
    const broken = new Blob(["no model at all, but long enough for a header"]);
    const thrown = [broken, "missing.gguf"].map((source) =>
      createWorkerEngine(makeWorker(), source).then(
        () => ["nothing", ""],
        (error: unknown) => [
          Object.entries(classes).find(([, type]) => error instanceof type)?.[0],
          String(error),
        ],
      ),
    );
    return Promise.all(thrown);
  });
  expect(errors[0]?.[0]).toBe("ModelFormatError");
  expect(errors[0]?.[1]).toContain("magic");
  expect(errors[1]?.[0]).toBe("SourceError");
  expect(errors[1]?.[1]).toContain(`${site.url}missing.gguf`);
});

test("a worker answers as the page does, can be stopped, and its end is noticed", async () => {
  const outcome = await page.evaluate(async () => {
    const { createWorkerEngine, fetchModel, loadEngine, makeWorker } = window.app;
    const cache = { policy: "pyramidkv", budget: 24, windowSize: 4, beta: 2 } as const;
    const prompt = "31415926535897932384626433832795".repeat(2);

    /** The whole answer, and what the engine said of it. */
    const answer = async (engine: Awaited<ReturnType<typeof loadEngine>>) => {
      let [text, isLive] = ["", false];
      const onPrefill = (): void => void (isLive ||= engine.memory().kv.allocated > 0);
      const generation = engine.generate(prompt, { maxTokens: 40, onPrefill });
      for await (const piece of generation) text += piece.text;
      const { tokenIds, usage, memory } = await generation.result;
      return { text, isLive, tokenIds, usage, memory, handle: engine.memory() };
    };

    const local = await loadEngine(await fetchModel(), { cache });
    const here = await answer(local);
    await local.destroy();
    const stages: string[] = [];
    const worker = makeWorker();
    const engine = await createWorkerEngine(worker, await fetchModel(), {
      cache,
      onProgress: ({ stage }) => stages.push(stage),
    });
    const there = await answer(engine);

    const stop = new AbortController();
    const reason = new Error("no time");
    let stopped: unknown;
    try {
      for await (const piece of engine.generate("123", { maxTokens: 500, signal: stop.signal })) {
        if (piece.text !== "") stop.abort(reason);
      }
    } catch (error) {
      stopped = error;
    }
    for await (const piece of engine.generate("123", { maxTokens: 500 })) {
      if (piece.tokenIds.length > 0) break;
    }
    const { text } = await engine.generate("123", { maxTokens: 5 }).result;

    let ended: unknown;
    try {
      const generation = engine.generate("123", { maxTokens: 4000 });
      for await (const piece of generation) if (piece.text !== "") worker.terminate();
    } catch (error) {
      ended = error;
    }
    const later = await engine.keptPositions().catch((error: unknown) => error);
    await engine.destroy();
    return {
      here,
      there,
      stages,
      text,
      stoppedByReason: stopped === reason,
      ended: String(ended),
      isWorkerError: ended instanceof window.app.errors.WorkerError && later === ended,
    };
  });
  const { here, there, stages } = outcome;
  expect(here.text).not.toBe("");
  expect(there).toEqual(here);
  expect(there.handle).toEqual(there.memory);
  expect(there.isLive).toBe(true);
  expect([stages[0], stages.at(-1)]).toEqual(["open", "ready"]);
  expect(outcome.stoppedByReason).toBe(true);
  expect(outcome.text).not.toBe("");
  expect(outcome.isWorkerError).toBe(true);
  expect(outcome.ended).toContain("worker was ended");
});

/** In a page: what a model answers alone, and what two engines beside each other answer. */
async function answersOfTwo(): Promise<readonly (readonly number[])[]> {
  const { createWorkerEngine, fetchModel, loadEngine, makeWorker } = window.app;
  const model = await fetchModel();
  const engines = await Promise.all([loadEngine(model), createWorkerEngine(makeWorker(), model)]);
  const ask = async (engine: (typeof engines)[number]): Promise<readonly number[]> =>
    (await engine.generate("2718281828", { maxTokens: 60 }).result).tokenIds;
  const alone = await ask(engines[0]);
  await engines[0].generate("0", { maxTokens: 1 }).result; // the next one does not begin in its cache
  const both = await Promise.all(engines.map(ask));
  for (const engine of engines) await engine.destroy();
  return [alone, ...both];
}

test("two engines in each of two tabs answer at once, each as one does alone", async () => {
  const other = await page.context().newPage();
  await other.goto(site.url);
  await other.waitForFunction(() => window.app !== undefined);
  const tabs = await Promise.all([page, other].map((tab) => tab.evaluate(answersOfTwo)));
  const [alone] = tabs[0];
  expect(alone).toHaveLength(60);
  for (const tokenIds of tabs.flat()) expect(tokenIds).toEqual(alone);
  await other.close();
});
