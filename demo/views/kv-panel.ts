import type { MemoryReport } from "../../src/index.ts";
import { ZigMeter, ZigPyramid } from "../../src/elements.ts";
import type { ChatState } from "../chat-state.ts";
import { byId, el, setText } from "../dom.ts";
import { formatCount, formatMiB, formatTokens, UNKNOWN } from "../format.ts";

/** The KV cache against a full one, and its pyramid: figures of the ledger. */
export interface KvPanel {
  render(state: ChatState, memory: MemoryReport | undefined): void;
}

/** Fill the place in the panel, and the line that stands for it where it's narrow. */
export function connectKvPanel(): KvPanel {
  const meter = new ZigMeter();
  meter.setAttribute("narrow", "");
  const pyramid = new ZigPyramid();
  const note = el("p", { class: "caption kv-note" });
  const context = el("p", { class: "caption figure kv-context" });
  byId("kv", HTMLElement).append(meter, pyramid, note, context);
  const line = {
    now: byId("meter-kv", HTMLElement),
    full: byId("meter-full", HTMLElement),
    saved: byId("meter-saved", HTMLElement),
  };

  return {
    render(state, memory) {
      const kv = memory === undefined ? undefined : withReading(state, memory.kv);
      meter.data =
        kv === undefined || kv.tokens === 0
          ? undefined
          : { allocated: kv.allocated, full: kv.full, peak: kv.peak };
      const working = kv === undefined ? undefined : workingLayer(state, kv);
      pyramid.data =
        kv === undefined
          ? undefined
          : {
              tokens: kv.tokens,
              layers: kv.layers,
              ...(working === undefined ? {} : { workingLayer: working }),
            };
      setText(note, noteOf(state, kv, working));
      setText(context, contextOf(state, kv));
      const known = kv !== undefined && kv.tokens > 0;
      setText(line.now, known ? formatMiB(kv.allocated) : UNKNOWN);
      setText(line.full, known ? formatMiB(kv.full) : UNKNOWN);
      setText(line.saved, known ? percentText(kv) : UNKNOWN);
    },
  };
}

/** The tokens of the prompt that is being read are seen as far as the picture goes. */
function withReading({ turns }: ChatState, kv: MemoryReport["kv"]): MemoryReport["kv"] {
  const turn = turns.at(-1);
  const reading = turn?.state === "reading" ? (turn.figures.totalTokens ?? 0) : 0;
  return { ...kv, tokens: kv.tokens + reading };
}

/** The layer that the prompt is being read in, where it is read in one go. */
function workingLayer({ turns }: ChatState, kv: MemoryReport["kv"]): number | undefined {
  const turn = turns.at(-1);
  const { readTokens = 0, totalTokens = 0 } = turn?.figures ?? {};
  if (turn?.state !== "reading" || totalTokens === 0 || readTokens >= totalTokens) return undefined;
  return Math.floor((readTokens / totalTokens) * kv.layers.length);
}

/** What the policy has done, in words. */
function noteOf(
  { turns, settings }: ChatState,
  kv: MemoryReport["kv"] | undefined,
  working: number | undefined,
): string {
  if (kv === undefined || kv.tokens === 0) {
    return "Each terrace will be a layer, as wide as the tokens that it keeps.";
  }
  if (working !== undefined) return `Layer ${working} of ${kv.layers.length} is being read.`;
  const turn = turns.findLast(({ cache }) => cache !== undefined);
  if (settings.policy === "full") return "The full cache keeps every token.";
  if (turn?.cache?.report.evicted === false) {
    return "Nothing was evicted: the prompt is shorter than the budget.";
  }
  if (kv.full <= kv.allocated) {
    return "Nothing is saved yet: the rows that are kept ready for the answer weigh more.";
  }
  return "Bytes that are allocated on the GPU; the outline is a full cache for the same tokens.";
}

function contextOf({ model }: ChatState, kv: MemoryReport["kv"] | undefined): string {
  if (model.step !== "ready" || kv === undefined) return UNKNOWN;
  const { contextLength } = model.engine.config;
  const used = `${formatCount(kv.tokens)} of ${formatTokens(contextLength)} of context`;
  const lengths = kv.layers.map(({ length }) => length);
  const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
  const kept = least === most ? formatCount(most) : `${formatCount(least)} to ${formatCount(most)}`;
  return `${used}; a layer keeps ${kept}`;
}

function percentText({ allocated, full }: MemoryReport["kv"]): string {
  const saved = full - allocated;
  return saved > 0 ? `${((100 * saved) / full).toFixed(1)}\u00a0%` : "0\u00a0%";
}
