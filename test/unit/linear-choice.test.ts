import { describe, expect, test } from "vitest";
import {
  type AdapterFacts,
  choiceForSmall,
  defaultChoice,
  linearCandidates,
} from "../../src/model/linear-choice.ts";

const adapter = (
  isSoftware: boolean,
  features: string[],
  sizes?: [number, number],
): AdapterFacts => ({
  isSoftware,
  features: new Set(features),
  info: { subgroupMinSize: sizes?.[0], subgroupMaxSize: sizes?.[1] } as GPUAdapterInfo,
});

describe("the variants of an adapter", () => {
  test("a GPU gets lanes and tiles, with subgroups where it has them", () => {
    const { matvec, matmul } = defaultChoice(adapter(false, ["subgroups"], [32, 32]));
    expect(matvec).toMatchObject({ kernel: "matvec_lanes", subgroups: true });
    expect(matmul).toMatchObject({ kernel: "matmul_tile" });
    expect(defaultChoice(adapter(false, [])).matvec).toMatchObject({ subgroups: false });
  });

  test.each([
    [[8, 8], 8],
    [[4, 4], 4],
    [[16, 16], 0],
    [[4, 8], 0],
  ] as const)("a CPU adapter with subgroups of %j broadcasts x in %d lanes", (sizes, broadcast) => {
    const { matvec, matmul } = defaultChoice(adapter(true, ["subgroups"], [...sizes]));
    expect(matvec).toMatchObject({ kernel: "matvec_rows", broadcast });
    expect(matmul).toMatchObject({ kernel: "matmul_rows", broadcast });
  });

  test("without the feature, x is not broadcast", () => {
    expect(defaultChoice(adapter(true, [], [8, 8])).matvec).toMatchObject({ broadcast: 0 });
  });

  test("a small model gets what compiles fastest, without a measurement", () => {
    const cpu = adapter(true, ["subgroups"], [8, 8]);
    expect(choiceForSmall(cpu, 100_000)?.matmul).toMatchObject({
      rows: 2,
      tokens: 4,
      broadcast: 8,
    });
    const gpu = adapter(false, ["subgroups"], [32, 32]);
    expect(choiceForSmall(gpu, 100_000)).toEqual(defaultChoice(gpu));
    expect(choiceForSmall(cpu, 100_000_000)).toBeUndefined();
  });

  test("there are at most two candidates to compile for a role", () => {
    for (const isSoftware of [true, false]) {
      for (const size of [4, 8, 32]) {
        const facts = adapter(isSoftware, ["subgroups"], [size, size]);
        for (const role of Object.values(linearCandidates(facts))) {
          expect(role.length).toBeLessThanOrEqual(2);
        }
      }
    }
  });
});
