import { type TokenGridCell, ZigTokenGrid, ZigTokens } from "../../src/elements.ts";
import { type CachePolicy, POLICIES, type RunTrace, type TokenScores } from "../../src/profile.ts";
import { byId, setHidden, setText } from "../dom.ts";

/** How a token of the run that is shown ranked, if that can be had. */
export type ScoresOf = (position: number) => Promise<TokenScores | undefined>;

/** Connect what is shown of a token that is picked on the text: who keeps it, and how it ranked. */
export function connectTokenView(scoresOf: ScoresOf): { show(run: RunTrace): void } {
  const grid = byId("token-heads", ZigTokenGrid);
  const summary = byId("token-grid", HTMLElement);
  const note = byId("token-note", HTMLElement);
  let run: RunTrace | undefined;
  let picked: number | undefined;

  const show = async (position: number): Promise<void> => {
    const of = run;
    if (of?.kept === undefined) return;
    picked = position;
    const scores = await scoresOf(position);
    // Another token, or another run, was shown meanwhile.
    if (run !== of || picked !== position) return;
    grid.data = { caption: captionOf(of, position), cells: cellsOf(of, position, scores) };
    setHidden(grid, false);
    setText(summary, whoKeeps(of, position));
    setText(note, scoreNote(of, scores !== undefined));
  };

  byId("tokens", ZigTokens).addEventListener("zig-token", (event) => {
    void show((event as CustomEvent<{ index: number }>).detail.index);
  });
  return {
    show(shown) {
      run = shown;
      picked = undefined;
      grid.data = undefined;
      setHidden(grid, true);
      for (const text of [summary, note]) setText(text, "");
    },
  };
}

function captionOf({ tokens }: RunTrace, position: number): string {
  return `Token ${position}, “${tokens?.[position]?.text ?? ""}”`;
}

/** What each layer and head did with a token. */
export function cellsOf(
  { kept = [] }: RunTrace,
  position: number,
  scores: TokenScores | undefined,
): TokenGridCell[][] {
  return kept.map((heads, layer) =>
    heads.map((positions, head) => ({
      kept: positions.includes(position),
      ...scores?.[layer]?.[head],
    })),
  );
}

/** Where the scores come from, or why there are none. */
export function scoreNote({ cache }: RunTrace, isKnown: boolean): string {
  const policy = (POLICIES as Readonly<Record<string, CachePolicy>>)[cache.policy];
  switch (policy?.scorer?.kind) {
    case "recency":
      return `${cache.policy} goes by place, not by scores: the first ${cache.numSinks} tokens and the latest stay.`;
    case undefined:
      return `${cache.policy} has no scores.`;
  }
  if (!isKnown) {
    return (
      "No scores of this token: they are read from a run on this page that was loaded with “Keep scores”, " +
      "when it has ended, and are exported for the tokens that were picked."
    );
  }
  const what =
    policy?.scorer?.kind === "key-norm"
      ? "minus the square of the key’s norm"
      : `the attention that the last ${cache.windowSize} tokens pay it, smoothed`;
  return `Ranks of the last compression, 1 the highest; the score is ${what}.`;
}

function whoKeeps({ kept = [] }: RunTrace, index: number): string {
  const layers = kept.map((heads) => heads.map((positions) => positions.includes(index)));
  const all = layers.flatMap((heads, at) => (heads.every(Boolean) ? at : []));
  const some = layers.flatMap((heads, at) =>
    heads.some(Boolean) && !heads.every(Boolean)
      ? `${at} (heads ${heads.flatMap((keeps, h) => (keeps ? h : [])).join(", ")})`
      : [],
  );
  const list = (items: readonly unknown[]): string =>
    items.length > 0 ? items.join(", ") : "none";
  return `Token ${index}: kept by all heads of layers ${list(all)}; by some of layers ${list(some)}.`;
}
