import { layersToCsv, type RunTrace, traceToChrome, traceToJson } from "../../src/profile.ts";
import { byId } from "../dom.ts";

const PERFETTO = "https://ui.perfetto.dev";

/** Connect the buttons that write a run out. Nothing leaves this computer unless Perfetto is opened. */
export function connectExports(current: () => RunTrace | undefined): { enable(): void } {
  const buttons = ["export-json", "export-csv", "export-chrome", "perfetto"].map((id) =>
    byId(id, HTMLButtonElement),
  );
  const [json, csv, chrome, perfetto] = buttons as [
    HTMLButtonElement,
    HTMLButtonElement,
    HTMLButtonElement,
    HTMLButtonElement,
  ];
  const onRun = (button: HTMLButtonElement, act: (run: RunTrace) => void): void =>
    button.addEventListener("click", () => {
      const run = current();
      if (run !== undefined) act(run);
    });
  onRun(json, (run) => save("ziggurat-run.json", "application/json", traceToJson(run)));
  onRun(csv, (run) => save("ziggurat-layers.csv", "text/csv", layersToCsv(run)));
  onRun(chrome, (run) => save("ziggurat-trace.json", "application/json", traceToChrome(run)));
  onRun(perfetto, (run) => openPerfetto(traceToChrome(run)));
  return {
    enable() {
      for (const button of buttons) button.disabled = false;
    },
  };
}

function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Perfetto answers PONG when it is ready; then it gets the trace. */
function openPerfetto(trace: string): void {
  const page = globalThis.open(PERFETTO);
  if (page === null) return;
  const timer = setInterval(() => page.postMessage("PING", PERFETTO), 100);
  const onMessage = ({ origin, data }: MessageEvent<unknown>): void => {
    if (origin !== PERFETTO || data !== "PONG") return;
    clearInterval(timer);
    removeEventListener("message", onMessage);
    const { buffer } = new TextEncoder().encode(trace);
    page.postMessage({ perfetto: { buffer, title: "Ziggurat" } }, PERFETTO);
  };
  addEventListener("message", onMessage);
}
