import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { fetchModel } from "../../src/cli/fetch-model.ts";
import { SourceError } from "../../src/errors.ts";
import { main } from "../bench/main.ts";
import { timeAnswers } from "../bench/peers/answer.ts";
import {
  type PeerMessage,
  type PeerRequest,
  type PeerRun,
  readMessage,
} from "../bench/peers/protocol.ts";
import { nativeImport } from "../bench/peers/native-import.ts";
import { reasonIn, runPeer } from "../bench/peers/run.ts";
import { formatPeers, peerRates } from "../bench/peers/table.ts";

const request: PeerRequest = {
  folder: "",
  model: "",
  dtype: "fp32",
  prompts: [[1, 2, 3, 4]],
  newTokens: 3,
  runs: 2,
};

function run(promptTokens: number, prefillSeconds: number, tokenIds = [5, 6, 7]): PeerRun {
  return { promptTokens, prefillSeconds, decodeSeconds: 4 * prefillSeconds, tokenIds, load: 1.5 };
}

describe("npm run bench", () => {
  afterEach(() => void vi.restoreAllMocks());

  test("gets the default model first, and ends with the reason where that fails", async () => {
    const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const fetching = vi
      .fn<typeof fetchModel>()
      .mockRejectedValue(new SourceError("m.gguf", "no source gave it"));
    expect(await main(["--no-peers", "--only", "rates"], fetching)).toBe(1);
    expect(written.mock.calls).toEqual([["m.gguf: no source gave it\n"]]);
  });

  test.each([[["--shape", "none"]], [["--model=none.gguf"]]])(
    "gets none where one is named: %j",
    async (argv) => {
      const fetching = vi.fn<typeof fetchModel>();
      // Wrong usage, so that nothing is measured.
      expect(await main([...argv, "--no-peers", "--runs", "0"], fetching)).toBe(2);
      expect(fetching).not.toHaveBeenCalled();
    },
  );
});

describe("formatPeers", () => {
  const phase = (tokensPerSecond: number) => ({
    tokensPerSecond,
    flopsPerSecond: 1,
    runs: [{ tokens: 4, wallSeconds: 1 }],
  });
  const cases = [
    {
      promptTokenIds: [1, 2, 3, 4],
      tokenIds: [5, 6, 9],
      prefill: phase(80),
      decode: phase(3),
      kvBytes: 1,
      loadBefore: 2,
      loadAfter: 0.5,
    },
  ];

  test("puts each peer beside ours, with the factors, and says what is missing", () => {
    const text = formatPeers({ cases }, [
      { name: "a", device: "Vulkan, x", runs: [run(4, 0.1), run(4, 0.4), run(4, 0.2)] },
      { name: "b", runs: [], problem: "there is no npm here" },
      { name: "c", device: "y", runs: [run(9, 1)], problem: "stopped after 9 s" },
    ]);
    const rows = text.split("\n").map((line) => line.split(/ {2,}/));
    expect(rows).toEqual([
      expect.arrayContaining(["prompt", "prefill tokens/s", "ours is", "load"]),
      ["ziggurat", "4", "80.0", "3.0", "3", "1", "0.5–2.0"],
      ["a (Vulkan, x)", "4", "20.0", "4.0 x", "2.5", "1.2 x", "2 of 3", "3", "1.5–1.5"],
      ["b: there is no npm here"],
      ["c: stopped after 9 s"],
      [""],
    ]);
  });

  test("rates are of the run with the median time", () => {
    expect(peerRates([run(8, 4), run(8, 1), run(8, 2)])).toEqual({ prefill: 4, decode: 0.25 });
  });
});

test("the lines of other libraries, and cut ones, are no messages", () => {
  expect(readMessage('peer:{"device":"x"}')).toEqual({ device: "x" });
  expect(readMessage('{"device":"x"}')).toBeUndefined();
  expect(readMessage('peer:{"dev')).toBeUndefined();
});

test("the reason of a failure is its error's line, else the last one", () => {
  expect(reasonIn("x\n  at y\nTypeError: no\n    at z\n\nNode.js v20\n")).toBe("TypeError: no");
  expect(reasonIn("one\ntwo\n\n")).toBe("two");
  expect(reasonIn("\n")).toBeUndefined();
});

describe("runPeer", () => {
  let folder = "";
  const limits = { environment: { SAID: "hello" }, limitSeconds: 60 };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziggurat-peer-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function peer(body: string): Promise<string> {
    const path = join(folder, "peer.mjs");
    const say = "const say = (m) => console.log('peer:' + JSON.stringify(m));";
    await writeFile(path, `${say}\nexport async function main([json]) { ${body} }\n`);
    return path;
  }

  test("hands over the request and the environment, and collects the messages", async () => {
    const echo = `
      const { newTokens } = JSON.parse(json);
      console.log("noise");
      say({ device: process.env.SAID });
      say({ promptTokens: newTokens });
      return 0;`;
    const { device, runs, problem } = await runPeer(await peer(echo), request, limits);
    expect({ device, runs, problem }).toEqual({
      device: "hello",
      runs: [{ promptTokens: 3 }],
      problem: undefined,
    });
  });

  test("loads a peer's own modules as Node does", async () => {
    await writeFile(join(folder, "a.mjs"), `export const where = import.meta.url;`);
    await writeFile(join(folder, "b.mjs"), `export { where } from "./a.mjs";`);
    const { href } = pathToFileURL(join(folder, "a.mjs"));
    expect({ ...(await nativeImport(folder, "b.mjs")) }).toEqual({ where: href });
  });

  test("keeps what was measured before a failure, and says what failed", async () => {
    const body = `say({ promptTokens: 1 }); throw new RangeError("too long");`;
    const { runs, problem } = await runPeer(await peer(body), request, limits);
    expect(runs).toEqual([{ promptTokens: 1 }]);
    expect(problem).toBe("RangeError: too long");
  });

  test("stops a peer that takes too long", async () => {
    const path = await peer(`setInterval(() => {}, 1000); return new Promise(() => {});`);
    const { runs, problem } = await runPeer(path, request, { ...limits, limitSeconds: 1 });
    expect({ runs, problem }).toEqual({ runs: [], problem: "stopped after 1 s" });
  });
});

test("timeAnswers warms up with two tokens, then times each run and writes it", async () => {
  const asked: number[] = [];
  const written: PeerMessage[] = [];
  await timeAnswers(
    request,
    async (ids, newTokens, onToken) => {
      expect(ids).toEqual([1, 2, 3, 4]);
      asked.push(newTokens);
      for (let id = 0; id < newTokens; id++) onToken(id);
    },
    (message) => void written.push(message),
  );
  expect(asked).toEqual([2, 3, 3]);
  expect(written).toEqual([
    expect.objectContaining({ promptTokens: 4, tokenIds: [0, 1, 2] }),
    expect.objectContaining({ promptTokens: 4, tokenIds: [0, 1, 2] }),
  ]);
});
