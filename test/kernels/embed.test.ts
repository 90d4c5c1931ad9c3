import { describe, test } from "vitest";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createEmbed } from "../../src/model/embed.ts";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { embedReference } from "../reference/embed.ts";
import { dequantise, PLANAR_LAYOUTS, randomPlanar } from "../reference/planar.ts";
import { readFloats, storageBuffer } from "./buffers.ts";
import { joined, uploadMatrix } from "./linear-case.ts";

const gpu = await openTestDevice();

describe("embed", () => {
  const cases = [
    { vocabulary: 4, cols: 32, tokens: 1, idsOffset: 0 },
    { vocabulary: 61, cols: 96, tokens: 7, idsOffset: 3 },
    { vocabulary: 300, cols: 576, tokens: 33, idsOffset: 1 },
  ];
  for (const [kind, layout] of Object.entries(PLANAR_LAYOUTS)) {
    test.for(cases)(`${kind}, $vocabulary x $cols, $tokens tokens`, async (shape) => {
      const { vocabulary, cols, tokens, idsOffset } = shape;
      const random = seededRandom(vocabulary + tokens);
      // Two slices, so that each token is written by exactly one of two dispatches.
      const firstRows = Math.floor(vocabulary / 4) * 2;
      const parts = [firstRows, vocabulary - firstRows].map((rows) =>
        randomPlanar(random, layout, rows, cols),
      );
      const ids = random.integers(idsOffset + tokens, vocabulary);
      const hidden = storageBuffer(gpu, new Float32Array(tokens * cols + 4).fill(-7));
      const embed = await createEmbed(gpu, [layout]);
      const recorder = new Recorder(gpu.device, gpu.buffers, 2, "embed test");
      embed.record(recorder, {
        matrix: uploadMatrix(gpu, parts),
        tokens,
        tokenIds: storageBuffer(gpu, ids),
        idsOffset,
        hidden,
      });
      recorder.submit();
      const weights = joined(parts.map(dequantise));
      const expected = embedReference(weights, cols, ids.subarray(idsOffset));
      // One rounding of scale * q + min, at weights below 1.
      const untouched = [-7, -7, -7, -7];
      expectClose(await readFloats(gpu, hidden), [...expected, ...untouched], {
        atol: 1.2e-7,
        rtol: 0,
      });
    });
  }
});
