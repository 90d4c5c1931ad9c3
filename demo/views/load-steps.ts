import type { LoadFigures } from "../chat-state.ts";
import { button, el, setText } from "../dom.ts";
import { formatByteRate, formatMiB, formatTimeLeft } from "../format.ts";

/** The steps from a file to a model that can answer. */
export interface LoadSteps {
  readonly element: HTMLElement;
  render(modelName: string, figures: LoadFigures): void;
}

const STEPS = [
  { stage: "open", label: "Open the file" },
  { stage: "weights", label: "Get the weights and upload them to the GPU" },
  { stage: "compile", label: "Compile the kernels" },
  { stage: "ready", label: "Ready" },
] as const;

/** Make the list; `onCancel` gives up loading. */
export function createLoadSteps(onCancel: () => void): LoadSteps {
  const title = el("h2", {});
  const items = STEPS.map(({ label }) => el("li", {}, label));
  const bar = el("progress", { max: "1", "aria-label": "Weights on the GPU" });
  const bytes = el("span", { class: "figure" });
  const rate = el("span", { class: "figure" });
  const left = el("span", { class: "figure" });
  const element = el(
    "section",
    { class: "card load-steps", "aria-label": "Loading" },
    title,
    el("ol", { class: "steps" }, ...items),
    bar,
    el("p", { class: "load-figures" }, bytes, rate, left),
    button("Cancel", onCancel),
  );
  return {
    element,
    render(modelName, { stage, loadedBytes, totalBytes, bytesPerSecond, msLeft }) {
      setText(title, `Loading ${modelName}`);
      const current = STEPS.findIndex((step) => step.stage === stage);
      for (const [index, item] of items.entries()) {
        item.dataset["step"] = index < current ? "done" : index === current ? "now" : "later";
        if (index === current) item.setAttribute("aria-current", "step");
        else item.removeAttribute("aria-current");
      }
      const inWeights = stage === "weights";
      bar.value = current > 1 ? 1 : totalBytes > 0 ? loadedBytes / totalBytes : 0;
      const total = totalBytes > 0 ? ` of ${formatMiB(totalBytes)}` : "";
      setText(bytes, `${formatMiB(loadedBytes)}${total}`);
      setText(
        rate,
        inWeights && bytesPerSecond !== undefined ? formatByteRate(bytesPerSecond) : "",
      );
      setText(left, inWeights && msLeft !== undefined ? formatTimeLeft(msLeft) : "");
    },
  };
}
