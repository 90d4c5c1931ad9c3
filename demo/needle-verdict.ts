import type { Turn } from "./conversation.ts";
import type { Settings } from "./settings.ts";

/** Whether the hidden fact survived, and whether the answer found it, with what to try next. */
export function needleVerdict(
  turn: Pick<Turn, "answer">,
  wanted: string,
  share: number | undefined,
  policy: Settings["policy"] | undefined,
): string {
  const found = turn.answer.toLowerCase().includes(wanted.toLowerCase());
  const answer = found
    ? `The answer has the fact (“${wanted}”).`
    : `The answer doesn’t have the fact (“${wanted}”).`;
  if (share === undefined) return answer;
  const percent = `${(100 * share).toFixed(1)}\u00a0%`;
  const next = nextStep(found, policy);
  return `${answer} ${percent} of the (layer, head) pairs kept its tokens. ${next}`;
}

/** What to move to see the other outcome: what this policy takes. */
function nextStep(found: boolean, policy: Settings["policy"] | undefined): string {
  if (policy === "full") {
    return found ? "Pick a policy that evicts, and answer again." : "The full cache has it all.";
  }
  const down = policy === "custom" ? "Write fewer rows by layer" : "Move the budget down";
  const up = policy === "custom" ? "Write more rows by layer" : "Move the budget up";
  return found ? `${down} and answer again, until it breaks.` : `${up} and answer again.`;
}
