import { formatCount, formatMiB, ZigPyramid } from "../../src/elements.ts";
import type { CacheOptions, KvDtype, PolicyName } from "../../src/index.ts";
import {
  MODEL_SHAPES,
  type ModelShape,
  planMemory,
  type PlanRequest,
  POLICIES,
  type RunTrace,
  shapeFromConfig,
  type WeightFormat,
} from "../../src/profile.ts";
import { byId, el, setText, tableRow } from "../dom.ts";
import { POLICY_CHOICES } from "../settings.ts";
import { fitWords, planWords } from "./plan-words.ts";
import type { MeasuredQuality } from "./quality.ts";
import { connectQuality } from "./quality-view.ts";

const LENGTHS = [2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];

/** Fill a list of policies, by the names that the chat page has for them. */
export function fillPolicies(select: HTMLSelectElement, chosen: PolicyName): void {
  const options = POLICY_CHOICES.filter(({ name }) => name !== "custom").map(({ name, label }) =>
    el("option", { value: name }, label),
  );
  select.replaceChildren(...options);
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
  const said = byId("plan-text", HTMLElement);
  const pyramid = byId("plan-pyramid", ZigPyramid);
  const rows = byId("plan-rows", HTMLElement);

  const fillModels = (): void =>
    model.replaceChildren(
      ...models.map(({ name }, at) => el("option", { value: String(at) }, name)),
    );
  /** Show what is right, or what is wrong and nothing beside it. */
  const attempt = (show: () => void): void => {
    said.classList.remove("problem");
    try {
      show();
    } catch (error) {
      said.classList.add("problem");
      setText(said, error instanceof Error ? error.message : String(error));
      pyramid.data = undefined;
      rows.replaceChildren();
    }
  };
  const render = (): void => {
    const tokens = number("plan-tokens");
    const request: PlanRequest = {
      model: models[Number(model.value)] as ModelShape,
      weights: text("plan-weights") as WeightFormat,
      tokens,
      sequences: number("plan-sequences"),
      cache: cacheOptions(text("plan-policy") as PolicyName, {
        budget: text("plan-budget"),
        windowSize: number("plan-window"),
        beta: number("plan-beta"),
        kvDtype: text("plan-dtype") as KvDtype,
      }),
    };
    const { contextLength } = request.model;
    const plan = planMemory(request);
    const budgets = plan.layers.reduce((sum, { budget }) => sum + budget, 0);
    const percent = Math.min((100 * budgets) / plan.layers.length / tokens, 100);
    byId("plan-share", HTMLInputElement).value = String(Math.round(percent));
    quality.mark(text("plan-policy"), percent);
    setText(said, `${planWords(request, plan)} ${fitWords(request, number("plan-limit"))}`);
    pyramid.data = { tokens, layers: plan.layers };
    rows.replaceChildren(
      ...LENGTHS.map((length) => {
        const { kv, peak } = planMemory({ ...request, tokens: length });
        const cells = [kv.final, kv.full, kv.full - kv.final, peak].map(formatMiB);
        const isPast = length > contextLength;
        return tableRow(`${formatCount(length)}${isPast ? " (past its context)" : ""}`, ...cells);
      }),
    );
  };

  fillModels();
  fillPolicies(byId("plan-policy", HTMLSelectElement), "pyramidkv");
  config.addEventListener("input", () => {
    attempt(() => {
      models.splice(MODEL_SHAPES.length, 1, shapeFromConfig(config.value));
      fillModels();
      model.value = String(MODEL_SHAPES.length);
      render();
    });
  });
  const share = byId("plan-share", HTMLInputElement);
  share.addEventListener("input", () => {
    byId("plan-budget", HTMLInputElement).value = `${share.value}%`;
  });
  const form = byId("plan-form", HTMLFormElement);
  form.addEventListener("input", () => attempt(render));
  form.addEventListener("submit", (event) => event.preventDefault());
  attempt(render);
  return quality;
}
