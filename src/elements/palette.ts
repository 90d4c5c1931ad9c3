/** What the charts draw in: each colour as [light, dark], the same in every chart. */
export const PALETTE = {
  paper: ["#faf8f4", "#14130f"],
  ink: ["#1d1b17", "#ece7dc"],
  "ink-soft": ["#625c50", "#aba493"],
  line: ["#e4dfd5", "#2c2a24"],
  edge: ["#8f8878", "#7d7768"],
  accent: ["#2456c5", "#8fb1ff"],
  warning: ["#8a5a00", "#e6b450"],
  weights: ["#6b6455", "#a59d8b"],
  keys: ["#2456c5", "#8fb1ff"],
  values: ["#5b86e5", "#5d84d8"],
  index: ["#12307a", "#c6d7ff"],
  activations: ["#1f8a7d", "#5fc7b8"],
  staging: ["#a05bb0", "#d49be2"],
  uniforms: ["#6f7d1f", "#c3cf6b"],
} as const;

/** Name of a colour. */
export type PaletteName = keyof typeof PALETTE;

/**
 * The palette as custom properties of a host: `--zig-NAME` of the page wins, and `color-scheme`
 * decides between light and dark.
 */
export function paletteCss(): string {
  const lines = Object.entries(PALETTE).map(
    ([name, [light, dark]]) => `--_${name}: var(--zig-${name}, light-dark(${light}, ${dark}));`,
  );
  return lines.join("\n");
}
