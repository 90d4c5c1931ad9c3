import type { ChatState } from "./chat-state.ts";
import { toMessages, type Turn } from "./conversation.ts";
import { formatDuration, formatTokens } from "./format.ts";

/** What an answer would have to read before its first word. */
export interface ReadingCost {
  readonly tokens: number;
  /** At the rate of the last long reading; undefined where nothing was measured yet. */
  readonly ms: number | undefined;
}

/** What asking a turn's question again would read; undefined while there is no model to say it. */
export async function previewTurn(state: ChatState, turn: Turn): Promise<ReadingCost | undefined> {
  if (state.model.step !== "ready") return undefined;
  const turns = state.turns.slice(0, state.turns.indexOf(turn) + 1);
  const messages = toMessages(turns, state.settings.systemPrompt);
  const { tokenIds, cachedTokens } = await state.model.engine.previewPrompt(messages);
  const tokens = tokenIds.length - cachedTokens;
  const rate = readingRate(state.turns);
  return { tokens, ms: rate === undefined ? undefined : (1000 * tokens) / rate };
}

/** `reads 3,412 tokens again, about 9.0 s` */
export function costText({ tokens, ms }: ReadingCost): string {
  if (tokens === 0) return "reads nothing again";
  const time = ms === undefined ? "" : `, about ${formatDuration(ms)}`;
  return `reads ${formatTokens(tokens)} again${time}`;
}

/** Tokens per second of the reading that says most: the one of most tokens. */
function readingRate(turns: readonly Turn[]): number | undefined {
  let best: Turn["figures"] = {};
  for (const { figures } of turns) {
    if (figures.readTokensPerSecond === undefined) continue;
    if ((figures.readTokens ?? 0) > (best.readTokens ?? 0)) best = figures;
  }
  return best.readTokensPerSecond;
}
