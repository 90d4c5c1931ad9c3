import type { MemoryReport } from "../../src/index.ts";
import { type PyramidData, ZigMeter, ZigPyramid } from "../../src/elements.ts";
import { type ChatState, readingNow } from "../chat-state.ts";
import { byId, el, setText } from "../dom.ts";
import { typicalLayers } from "../forecast.ts";
import { formatCount, formatMiB, formatShare, formatTokens, UNKNOWN } from "../format.ts";
import { layersRead, type LayersRead, workingLayer } from "../layers-read.ts";

/** The KV cache against a full one, and its pyramid: figures of the ledger. */
export interface KvPanel {
  render(state: ChatState, memory: MemoryReport | undefined): void;
}

/**
 * Fill the place in the panel, and the line that stands for it where it's narrow.
 * @param openRun shows the run on the memory page
 */
export function connectKvPanel(openRun: () => void): KvPanel {
  const meter = new ZigMeter();
  meter.setAttribute("narrow", "");
  const pyramid = new ZigPyramid();
  pyramid.title = "Click, or Enter, opens this run on the GPU memory page";
  pyramid.addEventListener("click", (event) => {
    // A finger that points at a terrace asks for its figures; the link stands below.
    if (event.pointerType !== "touch") openRun();
  });
  pyramid.addEventListener("keydown", (event) => {
    if (event.key === "Enter") openRun();
  });
  const note = el("p", { class: "caption kv-note" });
  const context = el("p", { class: "caption figure kv-context" });
  byId("kv", HTMLElement).append(meter, pyramid, note, context);
  const line = {
    now: byId("meter-kv", HTMLElement),
    full: byId("meter-full", HTMLElement),
    saved: byId("meter-saved", HTMLElement),
  };

  /** What the pyramid of an empty cache shows; made again where it depends on something else. */
  let plan: { readonly of: readonly unknown[]; readonly data: PyramidData | undefined } | undefined;

  const planned = ({ model, settings }: ChatState): PyramidData | undefined => {
    const of = [model.step === "ready" ? model.engine : undefined, settings];
    if (plan === undefined || of.some((value, at) => value !== plan?.of[at])) {
      const typical = typicalLayers({ model, settings });
      // Room, with nothing in it.
      const layers = typical?.layers.map((layer) => ({ ...layer, length: 0 })) ?? [];
      plan = { of, data: typical === undefined ? undefined : { ...typical, layers } };
    }
    return plan.data;
  };

  return {
    render(state, memory) {
      const kv = memory === undefined ? undefined : withReading(state, memory.kv);
      const working = kv === undefined ? undefined : layerInWork(state, kv);
      const read =
        kv === undefined || working === undefined ? undefined : layersRead(kv.layers, working);
      meter.data =
        kv === undefined || kv.tokens === 0
          ? undefined
          : {
              ...{ allocated: kv.allocated, full: kv.full, peak: kv.peak },
              ...(read === undefined ? {} : { read }),
            };
      pyramid.data =
        kv === undefined || kv.tokens === 0
          ? planned(state)
          : {
              tokens: kv.tokens,
              layers: kv.layers,
              ...(working === undefined ? {} : { workingLayer: working }),
            };
      setText(note, noteOf(state, kv, read));
      setText(context, contextOf(state, kv));
      const known = kv !== undefined && kv.tokens > 0;
      setText(line.now, known ? formatMiB(kv.allocated) : UNKNOWN);
      setText(line.full, known ? formatMiB(kv.full) : UNKNOWN);
      setText(line.saved, known ? percentText(kv, read) : UNKNOWN);
    },
  };
}

/** The tokens of the prompt that is being read are seen as far as the picture goes. */
function withReading(state: ChatState, kv: MemoryReport["kv"]): MemoryReport["kv"] {
  return { ...kv, tokens: kv.tokens + (readingNow(state)?.totalTokens ?? 0) };
}

function layerInWork(state: ChatState, kv: MemoryReport["kv"]): number | undefined {
  const figures = readingNow(state);
  return figures === undefined ? undefined : workingLayer(figures, kv.layers.length);
}

/** What the policy has done, in words. */
function noteOf(
  { turns, settings }: ChatState,
  kv: MemoryReport["kv"] | undefined,
  read: LayersRead | undefined,
): string {
  if (kv === undefined || kv.tokens === 0) {
    return "A plan: each step is a layer of the model, as wide as the tokens that it will keep.";
  }
  if (read !== undefined) {
    const { count, bytes, fullBytes } = read;
    const soFar =
      count === 0
        ? ""
        : ` Those before it have ${formatMiB(bytes)}, ${formatMiB(fullBytes)} in a full cache.`;
    return `Layer ${Math.min(count + 1, kv.layers.length)} of ${kv.layers.length} is being read.${soFar}`;
  }
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

function percentText({ allocated, full }: MemoryReport["kv"], read?: LayersRead): string {
  const [bytes, fullBytes] = read === undefined ? [allocated, full] : [read.bytes, read.fullBytes];
  const share = formatShare(Math.max(fullBytes - bytes, 0) / Math.max(fullBytes, 1));
  return read === undefined ? share : `${share} so far`;
}
