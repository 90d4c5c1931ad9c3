import { byId, setHidden } from "./dom.ts";

/** Connect the ways in which a file comes: the picker, and dropping it anywhere on the page. */
export function connectFileInput(onFile: (file: File) => void): { openPicker(): void } {
  const input = byId("file", HTMLInputElement);
  const hint = byId("drop-hint", HTMLElement);

  input.addEventListener("change", () => {
    const file = input.files?.[0];
    // Else choosing the same file once more would change nothing, and say nothing.
    input.value = "";
    if (file !== undefined) onFile(file);
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
    if (file !== undefined) onFile(file);
  });
  return { openPicker: () => input.click() };
}
