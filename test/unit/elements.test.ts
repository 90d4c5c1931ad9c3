import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { PALETTE, type PaletteName } from "../../src/elements/palette.ts";
import { terracesOf } from "../../src/elements/pyramid-data.ts";
import { describe as describeLayer, summary } from "../../src/elements/pyramid-text.ts";
import { followed, movedMoment, selected, zoomed } from "../../src/elements/timeline-range.ts";
import { formatBytes, formatMiB, formatShare, formatTime } from "../../src/elements/format.ts";

/** Contrast ratio of two colours as WCAG 2 defines it. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => {
      const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

test("importing the elements does nothing where there is no document", async () => {
  expect("customElements" in globalThis).toBe(false);
  const { ZigPyramid } = await import("../../src/elements.ts");
  expect(ZigPyramid).toBeTypeOf("function");
});

test.each([
  { name: "light", theme: 0 },
  { name: "dark", theme: 1 },
] as const)("colours stand out from $name paper: text 4.5 to 1, marks 3 to 1", ({ theme }) => {
  const paper = PALETTE.paper[theme];
  for (const name of Object.keys(PALETTE) as PaletteName[]) {
    if (name === "paper" || name === "line") continue;
    const least = ["ink", "ink-soft", "accent", "warning"].includes(name) ? 4.5 : 3;
    expect(contrast(PALETTE[name][theme], paper), name).toBeGreaterThanOrEqual(least);
  }
});

test("the charts and the pages have the same colours", () => {
  const css = readFileSync(new URL("../../demo/base.css", import.meta.url), "utf8");
  const themes = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) => body ?? "");
  for (const [theme, body] of themes.entries()) {
    const given = [...body.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)]
      .map(([, name, colour]) => [name ?? "", colour] as const)
      .filter(([name]) => name in PALETTE);
    expect(given.length).toBeGreaterThan(3);
    for (const [name, colour] of given) {
      expect(colour, name).toBe(PALETTE[name as PaletteName][theme]);
    }
  }
  expect(themes).toHaveLength(2);
});

test("a stretch of time is zoomed round a moment, and moved along with it, within the run", () => {
  expect(zoomed([0, 100], 25, 1 / 2, 100)).toEqual([12.5, 62.5]);
  expect(zoomed([0, 100], 0, 1 / 2, 100)).toEqual([0, 50]);
  expect(zoomed([12.5, 62.5], 60, 2, 100)).toBeUndefined();
  expect(zoomed([90, 100], 100, 4, 100)).toEqual([60, 100]);
  expect(followed([20, 40], 30)).toEqual([20, 40]);
  expect(followed([20, 40], 45)).toEqual([25, 45]);
  expect(followed([20, 40], 5)).toEqual([5, 25]);
  expect(selected(8, 3)).toEqual([3, 8]);
  expect(selected(3, 3)).toBeUndefined();
  expect(movedMoment("PageUp", 95, [0, 100], 100)).toBe(100);
  expect(movedMoment("x", 95, [0, 100], 100)).toBeUndefined();
});

test("layers with room and nothing in it are called a plan", () => {
  const layer = { budget: 30, length: 0, capacity: 62, bytes: 1, fullBytes: 2 };
  const layers = [layer, { ...layer, capacity: 40 }];
  expect(summary({ tokens: 2048, layers })).toBe(
    "Planned for 2,048 tokens: room for 62 rows at the bottom, 40 on top.",
  );
});

describe("a layer of the pyramid", () => {
  const head = { length: 45, capacity: 104 };
  const layer = {
    ...{ budget: 40, length: 45, capacity: 104, bytes: 54_080, fullBytes: 131_072 },
    heads: [head, { ...head, length: 30 }],
    generated: [5, 4],
  };

  test("is told by its exact rows, bytes and heads", () => {
    const text = describeLayer({ tokens: 69, layers: [layer] }, 0).replaceAll("\u00a0", " ");
    expect(text).toBe(
      "Layer 0: 45 of 69 rows per head in use (of the prompt 26 to 40, generated 4 to 5); by head 45, 30; " +
        "budget 40, room 104; 54,080 B (52.8 KiB) of 131,072 B (128.0 KiB).",
    );
    const even = { ...layer, heads: [head, head], generated: [5, 5] };
    expect(describeLayer({ tokens: 69, layers: [even] }, 0)).toContain(
      "(of the prompt 40, generated 5) in each of 2 heads; budget",
    );
  });

  test("is as wide as its rows or bytes, with those of the prompt apart", () => {
    const widths = (isInBytes: boolean, isLog: boolean) =>
      terracesOf({ tokens: 999, layers: [layer] }, isInBytes, isLog).shape[0];
    expect(widths(false, false)).toEqual({ room: 104, added: 45, kept: 40, budget: 40 });
    expect(widths(true, false).room).toBeCloseTo((999 * 54_080) / 131_072);
    expect(widths(false, true).kept).toBeCloseTo((999 * Math.log(41)) / Math.log(1000));
  });
});

describe("figures on the charts", () => {
  test.each([
    [formatBytes(512), "512_B"],
    [formatBytes(24_000), "23.4_KiB"],
    [formatBytes(1_572_864), "1.5_MiB"],
    [formatMiB(3 * 2 ** 30), "3,072.0_MiB"],
    [formatShare(0.931), "93.1_%"],
    [formatTime(0.012), "12_µs"],
    [formatTime(4.21), "4.2_ms"],
    [formatTime(1_340), "1.3_s"],
    [formatTime(0), "0.0_ms"],
  ])("%s", (text, expected) => {
    expect(text).toBe(expected.replaceAll("_", "\u00a0"));
  });
});
