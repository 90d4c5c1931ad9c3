import {
  describeAnswerProblem,
  describeLoadProblem,
  endsEngine,
  type Problem,
} from "../problem.ts";

const SHOWN_STAYS = "What is shown below stays.";

/** What to tell when a model could not be loaded on the memory page, which has no conversation. */
export function loadProblem(error: unknown): Problem {
  const safe = `Nothing of it stays on the GPU. ${SHOWN_STAYS}`;
  return { ...describeLoadProblem(error), safe };
}

/** What to tell when a run ended its engine; undefined for an error that says all by its own words. */
export function runProblem(error: unknown): Problem | undefined {
  if (!endsEngine(error)) return undefined;
  const { title, happened } = describeAnswerProblem(error, true);
  return {
    ...{ title, happened },
    safe: SHOWN_STAYS,
    advice:
      "Load the model again. If it happens again, run a shorter prompt or a smaller budget, " +
      "and close other pages that use the GPU.",
    remedy: "load-again",
  };
}
