import type { Turn } from "./conversation.ts";

/** What else stood in a turn's place: each a turn and all that came after that. */
export interface OtherVersions {
  readonly earlier: readonly (readonly Turn[])[];
  readonly later: readonly (readonly Turn[])[];
}

/** A place that has had one version only. */
export const NO_OTHERS: OtherVersions = { earlier: [], later: [] };

/**
 * Put `next` in the place of the turn at `at` as the latest version. The old turn itself doesn't change, so
 * that this can be undone; what it says of other versions no longer counts where it isn't shown.
 */
export function addVersion(turns: readonly Turn[], at: number, next: Turn): Turn[] {
  const { earlier, later } = turns[at]?.others ?? NO_OTHERS;
  next.others = { earlier: [...earlier, turns.slice(at), ...later], later: [] };
  return [...turns.slice(0, at), next];
}

/** Show the version before or after that of a turn; the same turns where there is none. */
export function showVersion(turns: readonly Turn[], turn: Turn, step: -1 | 1): Turn[] {
  const at = turns.indexOf(turn);
  const { earlier, later } = turn.others;
  const wanted = (step < 0 ? earlier.at(-1) : later[0]) ?? [];
  const [first] = wanted;
  if (at < 0 || first === undefined) return [...turns];
  const left = turns.slice(at);
  first.others =
    step < 0
      ? { earlier: earlier.slice(0, -1), later: [left, ...later] }
      : { earlier: [...earlier, left], later: later.slice(1) };
  return [...turns.slice(0, at), ...wanted];
}

/** Take the last turn away: another version of it is shown in its place, where there is one. */
export function dropLast(turns: readonly Turn[]): Turn[] {
  const rest = turns.slice(0, -1);
  const { earlier, later } = turns.at(-1)?.others ?? NO_OTHERS;
  const [first, ...tail] = earlier.at(-1) ?? later[0] ?? [];
  if (first === undefined) return rest;
  first.others =
    earlier.length > 0
      ? { earlier: earlier.slice(0, -1), later }
      : { earlier, later: later.slice(1) };
  return [...rest, first, ...tail];
}

/** Which version a turn is, from 1, and of how many. */
export function versionOf({ others: { earlier, later } }: Turn): {
  readonly number: number;
  readonly count: number;
} {
  return { number: earlier.length + 1, count: earlier.length + 1 + later.length };
}
