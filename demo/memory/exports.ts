import { layersToCsv, type RunTrace, traceToChrome, traceToJson } from "../../src/profile.ts";
import { byId } from "../dom.ts";

const PERFETTO = "https://ui.perfetto.dev";

/** How often Perfetto's page is asked whether it is ready. */
const PING_MS = 100;

/**
 * Connect the buttons that write a run out. Nothing leaves this computer unless Perfetto is opened.
 * @param say tells what went wrong
 */
export function connectExports(
  current: () => RunTrace | undefined,
  say: (text: string, isProblem: boolean) => void,
): { enable(): void } {
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
  onRun(perfetto, (run) => {
    if (openPerfetto(traceToChrome(run))) return;
    say("The browser blocked Perfetto’s page: allow pop-ups here, then press it again.", true);
  });
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

/**
 * Perfetto answers PONG when it is ready; then it gets the trace.
 * @returns false where the browser opens no page
 */
function openPerfetto(trace: string): boolean {
  const page = globalThis.open(PERFETTO);
  if (page === null) return false;
  const end = (): void => {
    clearInterval(timer);
    removeEventListener("message", onMessage);
  };
  const timer = setInterval(() => {
    if (page.closed) end();
    else page.postMessage("PING", PERFETTO);
  }, PING_MS);
  const onMessage = ({ origin, data }: MessageEvent<unknown>): void => {
    if (origin !== PERFETTO || data !== "PONG") return;
    end();
    const { buffer } = new TextEncoder().encode(trace);
    page.postMessage({ perfetto: { buffer, title: "Ziggurat" } }, PERFETTO);
  };
  addEventListener("message", onMessage);
  return true;
}
