/** Widths of one terrace in the drawing's units: rows allocated, in use, kept of the prompt, budget. */
export interface Terrace {
  readonly room: number;
  readonly added: number;
  readonly kept: number;
  readonly budget: number;
}

/** What of a terrace is drawn in an outline of its own. */
export const PARTS = ["room", "added", "kept", "budget"] as const;
export type Part = (typeof PARTS)[number];

export const WIDTH = 1000;
export const LAYER_HEIGHT = 10;

const NOTHING: Terrace = { room: 0, added: 0, kept: 0, budget: 0 };

/** One path for a part of all terraces, layer 0 at the bottom: a node each would cost a layout each. */
export function pathOf(terraces: readonly Terrace[], part: Part): string {
  let path = "";
  terraces.forEach((terrace, layer) => {
    const width = terrace[part];
    if (width <= 0) return;
    const y = (terraces.length - 1 - layer) * LAYER_HEIGHT + 0.5;
    const left = ((WIDTH - width) / 2).toFixed(2);
    const wide = width.toFixed(2);
    const high = LAYER_HEIGHT - 1;
    path +=
      part === "budget"
        ? `M${left},${y}v${high}m${wide},0v${-high}`
        : `M${left},${y}h${wide}v${high}h-${wide}z`;
  });
  return path;
}

/** The terraces on their way from one shape to another; `share` runs from 0 to 1. */
export function between(
  from: readonly Terrace[],
  to: readonly Terrace[],
  share: number,
): readonly Terrace[] {
  const eased = 1 - (1 - share) ** 3;
  const mix = (a: number, b: number): number => a + (b - a) * eased;
  return to.map((goal, layer) => {
    const start = from[layer] ?? NOTHING;
    return {
      room: mix(start.room, goal.room),
      added: mix(start.added, goal.added),
      kept: mix(start.kept, goal.kept),
      budget: goal.budget, // a mark, not a body: it stands where it belongs at once
    };
  });
}

/** The largest change of a width. */
export function distance(from: readonly Terrace[], to: readonly Terrace[]): number {
  return to.reduce((most, goal, layer) => {
    const start = from[layer] ?? NOTHING;
    const changes = PARTS.map((part) => Math.abs(goal[part] - start[part]));
    return Math.max(most, ...changes);
  }, 0);
}
