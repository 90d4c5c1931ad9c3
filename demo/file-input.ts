import { byId, setHidden } from "./dom.ts";

/** Files that are texts to ask about. */
const TEXTS = /\.(txt|md|markdown|csv|json|log|html?|xml|ya?ml)$/i;

/**
 * Connect the ways in which a file comes: the picker, and dropping it anywhere on the page.
 * @param onModel for a model (or what might be one), `onText` for a text
 */
export function connectFileInput(
  onModel: (file: File) => void,
  onText: (file: File) => void,
): { openPicker(): void } {
  const input = byId("file", HTMLInputElement);
  const hint = byId("drop-hint", HTMLElement);

  input.addEventListener("change", () => {
    const file = input.files?.[0];
    // Else choosing the same file once more would change nothing, and say nothing.
    input.value = "";
    if (file !== undefined) onModel(file);
  });
  const carriesFile = (event: DragEvent): boolean =>
    event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    setHidden(hint, false);
  });
  addEventListener("dragleave", (event) => {
    // Leaving the window, not just one element for the next.
    if (event.relatedTarget === null) setHidden(hint, true);
  });
  addEventListener("drop", (event) => {
    setHidden(hint, true);
    if (!carriesFile(event)) return;
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    const file = files.find(({ name }) => name.endsWith(".gguf")) ?? files[0];
    if (file === undefined) return;
    if (TEXTS.test(file.name)) onText(file);
    else onModel(file);
  });
  return { openPicker: () => input.click() };
}
