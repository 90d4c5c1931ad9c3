import type { AnswerFigures } from "../answer-figures.ts";
import type { Turn } from "../conversation.ts";
import { el, setText } from "../dom.ts";
import {
  formatCount,
  formatDuration,
  formatMiB,
  formatTimeLeft,
  formatTokenRate,
  formatTokens,
  UNKNOWN,
} from "../format.ts";
import { policyLabel } from "../settings.ts";
import { reopeningText } from "../reopening.ts";

/** The groups of figures of an answer, each with its place from the start. */
export function createTurnFigures(): { readonly element: HTMLElement; render(turn: Turn): void } {
  const cell = (name: string, label: string): readonly [HTMLElement, HTMLElement] => {
    const value = el("dd", { class: "figure" });
    return [el("div", { class: `figure-cell figure-${name}` }, el("dt", {}, label), value), value];
  };
  const [readCell, read] = cell("read", "Read");
  const [firstCell, first] = cell("first", "First token");
  const [wroteCell, wrote] = cell("wrote", "Wrote");
  const cache = el("p", { class: "turn-cache figure" });
  return {
    element: el("div", {}, el("dl", { class: "figures" }, readCell, firstCell, wroteCell), cache),
    render(turn) {
      const { state, figures } = turn;
      setText(read, readText(figures, state === "reading"));
      const { firstTokenMs, wroteTokens, wroteTokensPerSecond } = figures;
      setText(first, firstTokenMs === undefined ? UNKNOWN : formatDuration(firstTokenMs));
      setText(wrote, countAndRate(wroteTokens, wroteTokensPerSecond));
      setText(cache, cacheText(turn));
    },
  };
}

/** What the cache was like at the end: its size, and what the follow-up policy came to. */
function cacheText({ cache }: Turn): string {
  if (cache === undefined) return "";
  const { kv, report, cachedTokens, reopening } = cache;
  const size = `KV cache ${formatMiB(kv.allocated)} of ${formatMiB(kv.full)}`;
  const kept = cachedTokens > 0 ? `went on from ${formatTokens(cachedTokens)} in the cache` : "";
  const all = report.evicted ? "" : "nothing evicted";
  const how = reopening === undefined ? "" : reopeningText(reopening);
  return [`${size} (${policyLabel(report.policy)})`, all, how, kept].filter(Boolean).join(" · ");
}

/** What was read and how fast; while `reading`, of how much, and how long it will go on. */
export function readText(figures: AnswerFigures, reading: boolean): string {
  const { readTokens, totalTokens, readTokensPerSecond, readMsLeft } = figures;
  if (!reading || readTokens === undefined || totalTokens === undefined) {
    return countAndRate(readTokens, readTokensPerSecond);
  }
  const parts = [`${formatCount(readTokens)} of ${formatTokens(totalTokens)}`];
  if (readTokensPerSecond !== undefined) parts.push(formatTokenRate(readTokensPerSecond));
  if (readMsLeft !== undefined) parts.push(formatTimeLeft(readMsLeft));
  return parts.join(" · ");
}

/** `12 tokens · 34.5 tokens/s` */
export function countAndRate(tokens: number | undefined, perSecond: number | undefined): string {
  if (tokens === undefined) return UNKNOWN;
  const count = formatTokens(tokens);
  return perSecond === undefined || tokens === 0
    ? count
    : `${count} · ${formatTokenRate(perSecond)}`;
}
