import type { ModelChoice } from "../chat-state.ts";
import { byId } from "../dom.ts";
import { modelAmong, onDropped, onPicked } from "../file-input.ts";

/**
 * Connect the ways in which files come: the two pickers, and dropping them anywhere on the page.
 * @param onModel for a model, `onRuns` for anything else
 */
export function connectFiles(
  onModel: (choice: ModelChoice) => void,
  onRuns: (files: readonly File[]) => void,
): void {
  const connect = (button: string, input: string, open: (files: readonly File[]) => void): void => {
    const picker = byId(input, HTMLInputElement);
    byId(button, HTMLButtonElement).addEventListener("click", () => picker.click());
    onPicked(picker, open);
  };
  const openRuns = (files: readonly File[]): void => {
    if (files.length > 0) onRuns(files);
  };
  connect("open-model", "model-file", ([file]) => {
    if (file !== undefined) onModel({ name: file.name, source: file });
  });
  connect("open-run", "run-file", openRuns);
  onDropped((files) => {
    const model = modelAmong(files);
    if (model !== undefined) onModel(model);
    else openRuns(files);
  });
}
