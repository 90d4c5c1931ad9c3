import type { ChatState } from "../chat-state.ts";
import type { Chat } from "../chat.ts";
import { describeRun } from "../diagnostics.ts";
import { byId, setText } from "../dom.ts";
import { formatCount, formatTokenRate, UNKNOWN } from "../format.ts";
import { diagnosticsBox } from "./diagnostics-box.ts";

/** Model and device, and the sheet that the panel becomes on a narrow screen. */
export interface SidePanel {
  render(): void;
  /** Close the sheet; false where it wasn't open. */
  close(): boolean;
}

/** Connect the panel that stands in the page. */
export function connectSidePanel(chat: Chat): SidePanel {
  const panel = byId("panel", HTMLElement);
  const meter = byId("meter", HTMLButtonElement);
  const modelName = byId("model-name", HTMLElement);
  const modelShape = byId("model-shape", HTMLElement);
  const changeModel = byId("change-model", HTMLButtonElement);
  const deviceName = byId("device-name", HTMLElement);
  const diagnostics = byId("device-diagnostics", HTMLElement);
  const rate = byId("meter-rate", HTMLElement);
  let shownDiagnostics = "";

  const setOpen = (open: boolean): void => {
    panel.toggleAttribute("data-open", open);
    meter.setAttribute("aria-expanded", String(open));
    (open ? byId("panel-close", HTMLButtonElement) : meter).focus();
  };
  meter.addEventListener("click", () => setOpen(!panel.hasAttribute("data-open")));
  byId("panel-close", HTMLButtonElement).addEventListener("click", () => setOpen(false));
  changeModel.addEventListener("click", () => {
    if (panel.hasAttribute("data-open")) setOpen(false);
    void chat.putModelAway();
  });

  return {
    close() {
      const open = panel.hasAttribute("data-open");
      if (open) setOpen(false);
      return open;
    },
    render() {
      const { device, model, turns } = chat.state;
      const ready = model.step === "ready";
      setText(modelName, modelTitle(chat.state));
      setText(modelShape, ready ? shapeOf(model.engine.config) : "");
      changeModel.disabled = !ready;
      const lastRate = turns.findLast((turn) => turn.figures.wroteTokensPerSecond !== undefined);
      const perSecond = lastRate?.figures.wroteTokensPerSecond;
      setText(rate, perSecond === undefined ? UNKNOWN : formatTokenRate(perSecond));
      if (device === undefined || device.diagnostics === shownDiagnostics) return;
      shownDiagnostics = device.diagnostics;
      const software = device.isSoftware ? " (software: works, slowly)" : "";
      setText(deviceName, `${device.gpuName || "None that can be used"}${software}`);
      diagnostics.replaceChildren(
        diagnosticsBox(() => `${device.diagnostics}\n${describeRun(chat.state)}`),
      );
    },
  };
}

function modelTitle({ model }: ChatState): string {
  if (model.step === "none") return "None loaded";
  if (model.step === "loading") return `Loading ${model.choice.name}`;
  if (model.step === "failed") return "None loaded";
  return model.choice.name;
}

function shapeOf(config: {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly contextLength: number;
}): string {
  const { numLayers, numKvHeads, contextLength } = config;
  return `${numLayers} layers · ${numKvHeads} KV heads · context of ${formatCount(contextLength)} tokens`;
}
