import { formatShare, ZigCurve } from "../../src/elements.ts";
import type { RunTrace } from "../../src/profile.ts";
import { byId, el, setText } from "../dom.ts";
import { keptAttention } from "./kept-attention.ts";
import shipped from "./measured-quality.json";
import {
  type MeasuredQuality,
  QUALITY_FIGURES,
  QUALITY_TASKS,
  qualityAt,
  qualityChart,
  type QualityFigure,
  type QualityTask,
} from "./quality.ts";

/** The curves of measured quality, with the calculator's budget on them. */
export interface QualityView {
  showQuality(measured: MeasuredQuality): void;
  /** @param percent of the prompt that the policy keeps */
  mark(policy: string, percent: number): void;
  /** Say beside it what a run kept of the attention. */
  showRun(run: RunTrace): void;
}

/** Connect the place in the page; it shows what we measured until something else is opened. */
export function connectQuality(): QualityView {
  const task = byId("quality-task", HTMLSelectElement);
  const figure = byId("quality-figure", HTMLSelectElement);
  const curve = byId("quality-curve", ZigCurve);
  let measured: MeasuredQuality = shipped;
  let marked = { policy: "", percent: 100 };

  const render = (): void => {
    const { policy, percent } = marked;
    const chosen = task.value as QualityTask;
    curve.data = qualityChart(measured, chosen, policy, percent, figure.value as QualityFigure);
    const at = qualityAt(measured, chosen, policy, percent);
    const share = formatShare(percent / 100);
    const text =
      at === undefined
        ? `${policy} was not measured at ${share} of the prompt.`
        : `${policy} at ${share}: ${at.kl.toFixed(3)} nats per token from the full cache, ` +
          `${formatShare(at.agreement)} of the likeliest tokens are the same` +
          `${at.keptMass === undefined ? "" : `; the kept rows carry ${formatShare(at.keptMass)} of the window’s attention`}.`;
    setText(byId("quality-text", HTMLElement), text);
    setText(byId("quality-source", HTMLElement), `Measured: ${measured.source}`);
  };

  for (const [select, choices] of [
    [task, QUALITY_TASKS],
    [figure, QUALITY_FIGURES],
  ] as const) {
    const options = Object.entries(choices).map(([value, label]) => el("option", { value }, label));
    select.replaceChildren(...options);
    select.addEventListener("change", render);
  }
  return {
    showQuality(given) {
      measured = given;
      render();
    },
    mark(policy, percent) {
      marked = { policy, percent };
      render();
    },
    showRun(run) {
      setText(byId("quality-run", HTMLElement), keptAttention(run));
    },
  };
}
