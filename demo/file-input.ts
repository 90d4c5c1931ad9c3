import type { ModelChoice } from "./chat-state.ts";
import { byId, setHidden } from "./dom.ts";

/** Files that make up a model together, as Hugging Face has them. */
const PARTS = /\.(safetensors|json|jinja)$/i;

/** The model among files: a GGUF file, or weights in safetensors with what belongs to them. */
export function modelAmong(files: readonly File[]): ModelChoice | undefined {
  const gguf = files.find(({ name }) => /\.gguf$/i.test(name));
  if (gguf !== undefined) return { name: gguf.name, source: gguf };
  const weights = files.find(({ name }) => /\.safetensors$/i.test(name));
  if (weights === undefined) return undefined;
  return { name: weights.name, source: files.filter(({ name }) => PARTS.test(name)) };
}

/** Files that are texts to ask about. */
const TEXTS = /\.(txt|md|markdown|csv|json|log|html?|xml|ya?ml)$/i;

/**
 * Connect the ways in which a file comes: the picker, and dropping it anywhere on the page.
 * @param onModel for a model (or what might be one), `onText` for a text
 */
export function connectFileInput(
  onModel: (choice: ModelChoice) => void,
  onText: (file: File) => void,
): { openPicker(): void } {
  const input = byId("file", HTMLInputElement);
  onPicked(input, (files) => {
    const [file] = files;
    if (file !== undefined) onModel(modelAmong(files) ?? { name: file.name, source: file });
  });
  onDropped((files) => {
    const model = modelAmong(files);
    const [file] = files;
    if (model !== undefined) return onModel(model);
    if (file === undefined) return;
    if (TEXTS.test(file.name)) onText(file);
    else onModel({ name: file.name, source: file });
  });
  return { openPicker: () => input.click() };
}

/** Hear of the files that are chosen with a picker. */
export function onPicked(picker: HTMLInputElement, open: (files: readonly File[]) => void): void {
  picker.addEventListener("change", () => {
    const files = [...(picker.files ?? [])];
    // Else choosing the same file once more would change nothing, and say nothing.
    picker.value = "";
    open(files);
  });
}

/** Hear of the files that are dropped anywhere on the page; the page's hint shows while some are over it. */
export function onDropped(open: (files: readonly File[]) => void): void {
  const hint = byId("drop-hint", HTMLElement);
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
    open([...(event.dataTransfer?.files ?? [])]);
  });
}
