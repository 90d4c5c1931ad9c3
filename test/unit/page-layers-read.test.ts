import { expect, test } from "vitest";
import { layersRead, workingLayer } from "../../demo/layers-read.ts";

test("only the layers that have taken in the prompt are compared with a full cache", () => {
  const layers = [30, 20, 0, 0].map((bytes) => ({ bytes, fullBytes: 100 }));
  expect(layersRead(layers, 0)).toEqual({ count: 0, bytes: 0, fullBytes: 0 });
  expect(layersRead(layers, 2)).toEqual({ count: 2, bytes: 50, fullBytes: 200 });
});

test("the layer in work follows from the progress over all layers, rounding included", () => {
  const tokens = 1229;
  for (let layer = 0; layer < 30; layer++) {
    const readTokens = (layer * tokens) / 30;
    expect(workingLayer({ readTokens, totalTokens: tokens }, 30)).toBe(layer);
    const inside = { readTokens: readTokens + 256 / 30, totalTokens: tokens };
    expect(workingLayer(inside, 30)).toBe(layer);
  }
  expect(workingLayer({ readTokens: tokens, totalTokens: tokens }, 30)).toBeUndefined();
  expect(workingLayer({}, 30)).toBeUndefined();
});
