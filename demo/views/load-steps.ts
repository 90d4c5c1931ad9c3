import type { LoadFigures } from "../chat-state.ts";
import { button, el, setText } from "../dom.ts";
import { formatByteRate, formatMiB, formatTimeLeft } from "../format.ts";

/** The steps from a file to a model that can answer. */
export interface LoadSteps {
  readonly element: HTMLElement;
  render(modelName: string, figures: LoadFigures): void;
}

const STEPS = [
  { stage: "fetch", label: "Get the file" },
  { stage: "open", label: "Open it" },
  { stage: "weights", label: "Upload the weights to the GPU" },
  { stage: "compile", label: "Compile the kernels" },
  { stage: "ready", label: "Ready" },
] as const;

/** Make the list; `onCancel` gives up loading. */
export function createLoadSteps(onCancel: () => void): LoadSteps {
  const title = el("h2", {});
  const items = STEPS.map(({ label }) => el("li", {}, label));
  const bar = el("progress", { max: "1", "aria-label": "Loaded" });
  const bytes = el("span", { class: "figure" });
  const rate = el("span", { class: "figure" });
  const left = el("span", { class: "figure" });
  const note = el("p", { class: "caption" });
  const element = el(
    "section",
    { class: "card load-steps", "aria-label": "Loading" },
    title,
    el("ol", { class: "steps" }, ...items),
    bar,
    el("p", { class: "load-figures" }, bytes, rate, left),
    note,
    button("Cancel", onCancel),
  );
  return {
    element,
    render(modelName, figures) {
      const { stage, loadedBytes, totalBytes, storedBytes, bytesPerSecond, msLeft } = figures;
      setText(title, `Loading ${modelName}`);
      const checks = stage === "check";
      const current = checks ? 0 : STEPS.findIndex((step) => step.stage === stage);
      for (const [index, item] of items.entries()) {
        if (index === 0) setText(item, checks ? "Check the file" : STEPS[0].label);
        item.dataset["step"] = index < current ? "done" : index === current ? "now" : "later";
        if (index === current) item.setAttribute("aria-current", "step");
        else item.removeAttribute("aria-current");
      }
      const moves = stage === "fetch" || checks || stage === "weights";
      bar.value = !moves && stage !== "open" ? 1 : totalBytes > 0 ? loadedBytes / totalBytes : 0;
      const total = totalBytes > 0 ? ` of ${formatMiB(totalBytes)}` : "";
      setText(bytes, `${formatMiB(loadedBytes)}${total}`);
      setText(rate, moves && bytesPerSecond !== undefined ? formatByteRate(bytesPerSecond) : "");
      setText(left, moves && msLeft !== undefined ? formatTimeLeft(msLeft) : "");
      setText(note, noteOf(storedBytes, figures.notKept));
    },
  };
}

function noteOf(storedBytes: number, notKept: string | undefined): string {
  if (notKept !== undefined) return `It isn’t kept on this device: ${notKept}`;
  return storedBytes > 0 ? `${formatMiB(storedBytes)} of it were on this device.` : "";
}
