import type { KvDtype } from "../../src/index.ts";
import type { Chat } from "../chat.ts";
import { byId, el, setHidden, setText } from "../dom.ts";
import {
  BUDGET_RULES,
  type BudgetUnit,
  budgetText,
  type FollowUp,
  POLICY_CHOICES,
  policyChoice,
  type Settings,
  takesOf,
} from "../settings.ts";
import { createCustomPolicy } from "./custom-policy.ts";
import { numberField, selectField } from "./fields.ts";

/** Policy and budget of the cache, with what only some policies take. */
export interface CacheControls {
  render(): void;
}

/** What a unit starts with when it is picked. */
const FIRST_BUDGET: Readonly<Record<BudgetUnit, number>> = { percent: 25, tokens: 256, mib: 8 };

/**
 * Fill the place in the panel.
 * @param ignored what the page's address had that wasn't understood: said until a change of settings rewrites it
 */
export function connectCacheControls(chat: Chat, ignored: readonly string[]): CacheControls {
  const policy = selectField<Settings["policy"]>(
    "Policy",
    POLICY_CHOICES.map(({ name, label }) => [name, label]),
    (value) => chat.changeSettings({ policy: value }),
  );
  const about = el("p", { class: "caption policy-about" });
  const custom = createCustomPolicy(chat);
  const slider = el("input", { type: "range", id: "budget" });
  const said = el("output", { class: "figure", for: "budget" });
  const unit = selectField<BudgetUnit>(
    "Budget in",
    [
      ["percent", "% of the prompt"],
      ["tokens", "tokens a layer"],
      ["mib", "MiB in all"],
    ],
    (budgetUnit) => chat.changeSettings({ budgetUnit, budget: FIRST_BUDGET[budgetUnit] }),
  );
  const windowSize = numberField("Window", "windowSize", chat);
  const beta = numberField("Beta", "beta", chat);
  const dtype = selectField<KvDtype>(
    "Stored as",
    [
      ["f16", "f16"],
      ["f32", "f32 (loads the model again)"],
    ],
    (kvDtype) => chat.changeSettings({ kvDtype }),
  );
  const followUp = selectField<FollowUp>(
    "Next question",
    [
      ["keep", "Keep the compressed cache"],
      ["read-again", "Read the conversation again"],
    ],
    (value) => chat.changeSettings({ followUp: value }),
  );
  const problem = el("p", { class: "caption settings-problem", role: "status" });
  const budget = el(
    "div",
    { class: "field budget-field" },
    el("label", { for: "budget" }, "Budget"),
    said,
    slider,
  );
  slider.addEventListener("input", () => setText(said, budgetText(chosen())));
  slider.addEventListener("change", () => chat.changeSettings({ budget: slider.valueAsNumber }));
  byId("cache-controls", HTMLElement).append(
    policy.element,
    about,
    custom.element,
    budget,
    el(
      "details",
      {},
      el("summary", {}, "More"),
      unit.element,
      windowSize.element,
      beta.element,
      dtype.element,
      followUp.element,
      el(
        "p",
        { class: "caption" },
        "“Keep” is fast, but what an earlier question let go stays gone. “Read again” lets each " +
          "question choose anew.",
      ),
    ),
    problem,
  );

  const addressed = chat.state.settings;
  const chosen = (): Chat["state"]["settings"] => ({
    ...chat.state.settings,
    budget: slider.valueAsNumber,
  });

  return {
    render() {
      const { settings, settingsProblem } = chat.state;
      const takes = takesOf(settings);
      policy.render(settings.policy);
      setText(about, policyChoice(settings.policy).about);
      custom.render(settings);
      const { min, max, step } = BUDGET_RULES[settings.budgetUnit];
      Object.assign(slider, { min: `${min}`, max: `${max}`, step: `${step}` });
      if (document.activeElement !== slider || slider.valueAsNumber === settings.budget) {
        slider.value = `${settings.budget}`;
        setText(said, budgetText(settings));
      }
      slider.disabled = !takes.includes("budget");
      setHidden(budget, settings.policy === "custom");
      unit.render(settings.budgetUnit);
      windowSize.render(settings.windowSize);
      setHidden(windowSize.element, !takes.includes("windowSize"));
      beta.render(settings.beta);
      setHidden(beta.element, !takes.includes("beta"));
      dtype.render(settings.kvDtype);
      followUp.render(settings.followUp);
      const left =
        ignored.length > 0 && settings === addressed
          ? `Not understood in the address: ${ignored.join(", ")}.`
          : "";
      setText(problem, settingsProblem ?? left);
    },
  };
}
