import { formatCount, formatMiB, formatShare, ZigPyramid } from "../../src/elements.ts";
import type { CacheOptions, KvDtype, PolicyName } from "../../src/index.ts";
import {
  longestPrompt,
  MODEL_SHAPES,
  type ModelShape,
  planMemory,
  POLICIES,
  type RunTrace,
  shapeFromConfig,
  type WeightFormat,
} from "../../src/profile.ts";
import { byId, el, setText, tableRow } from "../dom.ts";
import type { MeasuredQuality } from "./quality.ts";
import { connectQuality } from "./quality-view.ts";

const LENGTHS = [2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];

/** Fill a list of policies. */
export function fillPolicies(select: HTMLSelectElement, chosen: PolicyName): void {
  select.replaceChildren(...Object.keys(POLICIES).map((name) => el("option", {}, name)));
  select.value = chosen;
}

/** Options of a policy, out of fields of which it may not take some. */
export function cacheOptions(
  policy: PolicyName,
  fields: { budget: string; windowSize?: number; beta?: number; kvDtype?: KvDtype },
): CacheOptions {
  const taken = Object.entries(fields).filter(
    ([name]) => name === "kvDtype" || POLICIES[policy].options.some((option) => option === name),
  );
  return { policy, ...Object.fromEntries(taken) };
}

/** The what-if calculator. */
export interface Planner {
  /** Show what budgets cost in quality, beside what they save. */
  showQuality(measured: MeasuredQuality): void;
  /** Say beside that what a run kept of the attention. */
  showRun(run: RunTrace): void;
}

/** Connect the what-if calculator: no GPU, no engine, the scheduler's own code. */
export function connectPlanner(): Planner {
  const quality = connectQuality();
  const models = [...MODEL_SHAPES];
  const model = byId("plan-model", HTMLSelectElement);
  const config = byId("plan-config", HTMLTextAreaElement);
  const number = (id: string): number => byId(id, HTMLInputElement).valueAsNumber;
  const text = (id: string): string =>
    (document.getElementById(id) as HTMLInputElement | HTMLSelectElement).value;
  const problem = byId("plan-text", HTMLElement);

  const fillModels = (): void =>
    model.replaceChildren(
      ...models.map(({ name }, at) => el("option", { value: String(at) }, name)),
    );
  const render = (): void => {
    const request = {
      model: models[Number(model.value)] as ModelShape,
      weights: text("plan-weights") as WeightFormat,
      cache: cacheOptions(text("plan-policy") as PolicyName, {
        budget: text("plan-budget"),
        windowSize: number("plan-window"),
        beta: number("plan-beta"),
        kvDtype: text("plan-dtype") as KvDtype,
      }),
    };
    try {
      const tokens = Math.max(Math.floor(number("plan-tokens")) || 1, 1);
      const plan = planMemory({ ...request, tokens });
      const limit = number("plan-limit") * 2 ** 20;
      const fits = longestPrompt(request, limit);
      const saved = plan.kv.full - plan.kv.final;
      const rows = plan.layers.reduce((sum, { budget }) => sum + budget, 0) / plan.layers.length;
      const percent = Math.min((100 * rows) / tokens, 100);
      byId("plan-share", HTMLInputElement).value = String(Math.round(percent));
      quality.mark(text("plan-policy"), percent);
      setText(
        problem,
        `${plan.evicts ? "" : "Nothing is evicted: the prompt is shorter than the budget. "}` +
          `Cache ${formatMiB(plan.kv.final)} (${formatMiB(plan.kv.peak)} at peak) instead of ` +
          `${formatMiB(plan.kv.full)}, ${formatShare(saved / plan.kv.full)} saved; weights ` +
          `${formatMiB(plan.weights)}. Prompts of up to ${formatCount(fits)} tokens fit in ${formatMiB(limit)}.`,
      );
      byId("plan-pyramid", ZigPyramid).data = { tokens, layers: plan.layers };
      byId("plan-rows", HTMLElement).replaceChildren(
        ...LENGTHS.map((length) => {
          const { kv, peak } = planMemory({ ...request, tokens: length });
          const cells = [kv.final, kv.full, kv.full - kv.final, peak].map(formatMiB);
          return tableRow(formatCount(length), ...cells);
        }),
      );
    } catch (error) {
      setText(problem, error instanceof Error ? error.message : String(error));
    }
  };

  fillModels();
  fillPolicies(byId("plan-policy", HTMLSelectElement), "pyramidkv");
  config.addEventListener("input", () => {
    try {
      models.splice(MODEL_SHAPES.length, 1, shapeFromConfig(config.value));
      fillModels();
      model.value = String(MODEL_SHAPES.length);
      render();
    } catch (error) {
      setText(problem, error instanceof Error ? error.message : String(error));
    }
  });
  const share = byId("plan-share", HTMLInputElement);
  share.addEventListener("input", () => {
    byId("plan-budget", HTMLInputElement).value = `${share.value}%`;
  });
  const form = byId("plan-form", HTMLFormElement);
  form.addEventListener("input", render);
  form.addEventListener("submit", (event) => event.preventDefault());
  render();
  return quality;
}
