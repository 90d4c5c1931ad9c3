import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../../demo/base.css", import.meta.url), "utf8");
const [light = "", dark = ""] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) => body);

const TEXT = ["ink", "ink-soft", "accent", "warning", "error", "code-string", "code-number"];
const MARKS = ["edge", "accent", "weights", "kv", "activations", "staging", "uniforms"];

function colour(theme: string, name: string): readonly number[] {
  const hex = new RegExp(`--${name}: #([0-9a-f]{6});`).exec(theme)?.[1];
  if (hex === undefined) throw new Error(`no colour --${name}`);
  return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
}

/** Contrast ratio as WCAG 2 defines it. */
function contrast(a: readonly number[], b: readonly number[]): number {
  const luminance = (rgb: readonly number[]): number => {
    const [red, green, blue] = rgb.map((c) =>
      c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

describe.each([
  ["light", light],
  ["dark", dark],
])("colours of the %s theme", (_, theme) => {
  it.each(["paper", "raised"])("stand out from %s: text 4.5 to 1, marks 3 to 1", (ground) => {
    for (const name of TEXT) {
      const ratio = contrast(colour(theme, name), colour(theme, ground));
      expect(ratio, `--${name} on --${ground}`).toBeGreaterThanOrEqual(4.5);
    }
    for (const name of MARKS) {
      const ratio = contrast(colour(theme, name), colour(theme, ground));
      expect(ratio, `--${name} on --${ground}`).toBeGreaterThanOrEqual(3);
    }
  });

  it("keep words on the accent readable", () => {
    const ratio = contrast(colour(theme, "on-accent"), colour(theme, "accent"));
    expect(ratio).toBeGreaterThanOrEqual(4.5);
  });
});
