import type { ModelChoice } from "../chat-state.ts";
import { byId, setHidden } from "../dom.ts";
import { modelAmong } from "../file-input.ts";

/**
 * Connect the ways in which files come: the two pickers, and dropping them anywhere on the page.
 * @param onModel for a model, `onRuns` for anything else
 */
export function connectFiles(
  onModel: (choice: ModelChoice) => void,
  onRuns: (files: readonly File[]) => void,
): void {
  const hint = byId("drop-hint", HTMLElement);
  const connect = (button: string, input: string, open: (files: File[]) => void): void => {
    const picker = byId(input, HTMLInputElement);
    byId(button, HTMLButtonElement).addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      const files = [...(picker.files ?? [])];
      // Else choosing the same file once more would change nothing, and say nothing.
      picker.value = "";
      if (files.length > 0) open(files);
    });
  };
  connect("open-model", "model-file", ([file]) => {
    if (file !== undefined) onModel({ name: file.name, source: file });
  });
  connect("open-run", "run-file", onRuns);

  const carriesFile = ({ dataTransfer }: DragEvent): boolean =>
    dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    setHidden(hint, false);
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    // Leaving the window, not just one element for the next.
    if (relatedTarget === null) setHidden(hint, true);
  });
  addEventListener("drop", (event) => {
    setHidden(hint, true);
    if (!carriesFile(event)) return;
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    const model = modelAmong(files);
    if (model !== undefined) onModel(model);
    else if (files.length > 0) onRuns(files);
  });
}
