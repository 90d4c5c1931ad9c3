import { formatShare, ZigCurve } from "../../src/elements.ts";
import { byId, el, setHidden, setText } from "../dom.ts";
import {
  type MeasuredQuality,
  QUALITY_TASKS,
  qualityAt,
  qualityChart,
  type QualityTask,
} from "./quality.ts";

/** The curves of measured quality, with the calculator's budget on them. */
export interface QualityView {
  showQuality(measured: MeasuredQuality): void;
  /** @param percent of the prompt that the policy keeps */
  mark(policy: string, percent: number): void;
}

/** Connect the place in the page; it is hidden until something measured is opened. */
export function connectQuality(): QualityView {
  const task = byId("quality-task", HTMLSelectElement);
  const curve = byId("quality-curve", ZigCurve);
  let measured: MeasuredQuality | undefined;
  let marked = { policy: "", percent: 100 };

  const render = (): void => {
    if (measured === undefined) return;
    const { policy, percent } = marked;
    const chosen = task.value as QualityTask;
    curve.data = qualityChart(measured, chosen, policy, percent);
    const at = qualityAt(measured, chosen, policy, percent);
    const share = formatShare(percent / 100);
    const text =
      at === undefined
        ? `${policy} was not measured at ${share} of the prompt.`
        : `${policy} at ${share}: ${at.kl.toFixed(3)} nats per token from the full cache, ` +
          `${formatShare(at.agreement)} of the likeliest tokens are the same.`;
    setText(byId("quality-text", HTMLElement), text);
    setText(byId("quality-source", HTMLElement), `Measured: ${measured.source}`);
  };

  task.replaceChildren(
    ...Object.entries(QUALITY_TASKS).map(([value, label]) => el("option", { value }, label)),
  );
  task.addEventListener("change", render);
  return {
    showQuality(given) {
      measured = given;
      setHidden(byId("quality", HTMLElement), false);
      render();
    },
    mark(policy, percent) {
      marked = { policy, percent };
      render();
    },
  };
}
