import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type OptionSpecs, readArgs, UsageError } from "../../src/cli/args.ts";
import { cacheLine } from "../../src/cli/cache-line.ts";
import { CACHE_OPTIONS } from "../../src/cli/cache-options.ts";
import { GENERATE_OPTIONS } from "../../src/cli/generate.ts";
import { INSPECT_OPTIONS } from "../../src/cli/inspect.ts";
import { HELP, main } from "../../src/cli/main.ts";
import { findModel, openModel } from "../../src/cli/model.ts";
import { SCORE_OPTIONS } from "../../src/cli/score.ts";
import type { CacheReport } from "../../src/index.ts";
import { goldenPath } from "../golden/format.ts";

/** The options in the part of the help that starts with some words. */
function listedAfter(words: string): Set<string> {
  const start = HELP.indexOf(words);
  expect(start).toBeGreaterThan(0);
  const [own] = HELP.slice(start + words.length).split(/\n {2}ziggurat|\n\n/);
  const listed = [...own.matchAll(/--([a-z-]+)/g)].map(([, name]) => name);
  return new Set(own.includes("[cache options]") ? [...listed, ...cacheOptions] : listed);
}

const cacheOptions = Object.keys(CACHE_OPTIONS);

describe("the help", () => {
  test.each<readonly [string, OptionSpecs]>([
    ["  ziggurat generate ", GENERATE_OPTIONS],
    ["  ziggurat score ", SCORE_OPTIONS],
    ["  ziggurat inspect ", INSPECT_OPTIONS],
    ["Cache options: ", CACHE_OPTIONS],
  ])("lists every option of %j, and no others", (words, options) => {
    expect(listedAfter(words)).toEqual(new Set(Object.keys(options)));
  });
});

describe("options", () => {
  const specs = { n: { type: "string" }, on: { type: "boolean" } } as const;
  const several = { s: { type: "string", multiple: true } } as const;

  test("are read by name and type", () => {
    const args = readArgs(["--n", "12", "--on"], specs);
    expect([args.text("n"), args.number("n"), args.count("n"), args.flag("on")]).toEqual([
      ...["12", 12, 12, true],
    ]);
    expect(readArgs([], specs).number("n")).toBeUndefined();
    expect(readArgs(["--s", "a", "--s=b"], several).all("s")).toEqual(["a", "b"]);
    expect(readArgs(["--n="], specs).text("n")).toBe("");
  });

  test("take a negative number as a value", () => {
    expect(readArgs(["--n", "-1.5"], specs).number("n")).toBe(-1.5);
    expect(readArgs(["--n", "-5 degrees"], specs).text("n")).toBe("-5 degrees");
    expect(readArgs(["--n", "-.5", "--on"], specs).flag("on")).toBe(true);
  });

  test("that are no numbers are wrong", () => {
    for (const text of ["", " ", "x", "1x", "NaN"]) {
      expect(() => readArgs([`--n=${text}`], specs).number("n")).toThrow(UsageError);
    }
    for (const text of ["0", "-3", "2.5", "1e300"]) {
      expect(() => readArgs([`--n=${text}`], specs).count("n")).toThrow("whole number");
    }
    expect(() => readArgs([], specs).required("n")).toThrow("--n is required");
  });
});

describe("wrong usage ends with exit code 2 and one sentence, before a model is looked for:", () => {
  const good = ["--model", "none.gguf", "--prompt", "Hi"];

  test.each<readonly [argv: readonly string[], says: RegExp]>([
    [["no-such-command"], /no command "no-such-command"/],
    [["constructor"], /no command "constructor"/],
    [["generate", ...good, "--colour", "red"], /: Unknown option '--colour'; see/],
    [["generate", ...good, "stray"], /: Unexpected argument 'stray'; see/],
    [["generate", ...good, "--max-tokens"], /--max-tokens/],
    [["generate", ...good, "--seed", "--json"], /'--seed' argument is ambiguous; see/],
    [["generate", ...good, "--raw=yes"], /'--raw' does not take an argument; see/],
    [["generate", ...good, "--max-tokens", "many"], /--max-tokens wants a number, got "many"/],
    [["generate", ...good, "--max-tokens", "0"], /--max-tokens wants a whole number/],
    [["generate", ...good, "--max-tokens", "1.5"], /--max-tokens wants a whole number/],
    [["generate", ...good, "--temperature", "-1"], /--temperature must be .*, got -1/],
    [["generate", ...good, "--top-p", "0"], /--top-p must be above 0/],
    [["generate", ...good, "--top-k", "2.5"], /--top-k must be/],
    [["generate", ...good, "--min-p", "7"], /--min-p must be/],
    [["generate", ...good, "--repetition-penalty", "0"], /--repetition-penalty must be/],
    [["generate", ...good, "--seed", "x"], /--seed wants a number/],
    [["generate", ...good, "--stop", ""], /--stop/],
    [["generate", ...good, "--pool", "median"], /--pool wants/],
    [["generate", ...good, "--kept"], /--kept needs --json/],
    [["generate", ...good, "--layer-budgets", "30,x"], /--layer-budgets wants .*, got "30,x"/],
    [["generate", ...good, "--layer-budgets", ""], /--layer-budgets wants .*, got ""/],
    [["generate", ...good, "--prompt-file", "x"], /--prompt or --prompt-file/],
    [["generate", "--model", "none.gguf"], /--prompt or --prompt-file/],
    [["generate", "--prompt", "Hi"], /--model is required/],
    [["score", "--model", "none.gguf", "--context", "5"], /--text-file is required/],
    [["score", "--model", "none.gguf", "--text-file", "x"], /--context is required/],
    [["inspect"], /--model is required/],
    [["inspect", "--model", "none.gguf", "--kv-dtype", "q4"], /--kv-dtype wants .*, got "q4"/],
  ])("%j", async (argv, says) => {
    const { code, written } = await run(argv);
    expect({ code, written }).toEqual({ code: 2, written: [expect.stringMatching(says)] });
    expect(written[0]).toMatch(/^ziggurat: [^\n]+; see ziggurat --help\n$/);
  });

  test.each([["--help"], ["-h"], ["generate", "--help"], ["score", "-h"], []])(
    "but %s is answered with the help",
    async (...argv) => {
      expect(await run(argv)).toEqual({ code: 0, written: [HELP] });
    },
  );
});

describe("wrong cache options end with exit code 2 and one sentence, before a GPU is looked for:", () => {
  test.each<readonly [options: string, says: string]>([
    ["--policy h2o", "--policy must be one of full, streaming-llm, .*, got h2o"],
    [
      "--policy pyramidkv --budget 8",
      "--budget must be at least 9 \\(the window of 8, .*\\), got 8",
    ],
    ["--policy streaming-llm --budget 4", "--budget must be at least 5 \\(4 sinks, .*\\), got 4"],
    ["--policy pyramidkv --budget 0", "--budget must be above 0, got 0"],
    ["--policy pyramidkv --budget -5", "--budget must be .* such as .*, got -5"],
    ["--policy pyramidkv --budget NaN", "--budget must be .* such as .*, got NaN"],
    ["--policy pyramidkv --budget lots", "--budget must be .* such as .*, got lots"],
    ["--policy pyramidkv --budget 200%", "--budget must be at most 100%, got 200%"],
    [
      "--budget 256",
      "--budget must be left out with policy full \\(those that take it: .*, got 256",
    ],
    [
      "--policy snapkv --beta 3",
      "--beta must be left out with policy snapkv \\(.*: pyramidkv\\), got 3",
    ],
    ["--policy pyramidkv --beta 0", "--beta must be at least 1, got 0"],
    ["--policy knorm --window 8", "--window must be left out with policy knorm .*, got 8"],
    ["--policy snapkv --window 0", "--window must be 1 to 256, got 0"],
    ["--policy snapkv --pool avg:4", "--pool must be of an odd size from 1 to 63, got .*4"],
    ["--policy ada-kv --head-floor 2", "--head-floor must be from 0 to 1, got 2"],
    ["--policy streaming-llm --sinks -1", "--sinks must be a whole number from 0 to 1024, got -1"],
    [
      "--policy snapkv --layer-budgets 50,50",
      "--layer-budgets must be one .* 4 layers, got \\[50, 50\\]",
    ],
    ["--policy snapkv --layer-budgets 50,50,50,5", "--layer-budgets must be .* at least 9 .*, got"],
    [
      "--policy snapkv --layer-budgets 50,50,50,50 --budget 50",
      "--layer-budgets must be given without",
    ],
    ["--kv-dtype q4", '--kv-dtype must be "f16" or "f32", got q4'],
  ])("%s", async (options, says) => {
    const argv = ["--model", goldenPath("tiny-flow.gguf"), "--prompt", "Hi", ...options.split(" ")];
    const { code, written } = await run(["generate", ...argv]);
    expect({ code, written }).toEqual({
      code: 2,
      written: [expect.stringMatching(new RegExp(`^ziggurat: ${says}.*; see ziggurat --help\\n$`))],
    });
  });
});

describe("what the cache did, in one line", () => {
  const layer = {
    budget: 64,
    length: 64,
    capacity: 128,
    bytes: 1e6,
    fullBytes: 4e6,
    heads: [],
    keptMass: [],
  };
  const report = {
    policy: "snapkv",
    kvDtype: "f16",
    tokens: 302,
    evicted: true,
    passes: 1,
    bytes: 1.5e6,
    fullBytes: 8e6,
  } as const;
  const layers = [layer, { ...layer, budget: 32 }];

  test.each<readonly [Partial<CacheReport>, string]>([
    [{ layers }, "snapkv keeps 64 to 32 of 302 tokens per layer, 1.50 MB instead of 8.00 MB"],
    [
      { passes: 3 },
      "snapkv keeps 64 of 302 tokens per layer, 1.50 MB instead of 8.00 MB, read in 3 passes",
    ],
    [{ evicted: false }, "snapkv keeps all 302 tokens, within its budget"],
    [{ policy: "full", evicted: false }, "full"],
  ])("%j", (part, says) => {
    expect(cacheLine({ ...report, layers: [layer], ...part })).toBe(`cache: ${says}`);
  });
});

test.each([
  ["a folder", "", "EISDIR"],
  ["below a file", "file/bench.json", "EEXIST|ENOTDIR"],
  ["below a file's folder", "file/deeper/bench.json", "ENOTDIR"],
])("bench says before it measures that --json cannot be written: %s", async (_, name, code) => {
  const folder = await mkdtemp(join(tmpdir(), "ziggurat-test-"));
  try {
    await writeFile(join(folder, "file"), "");
    const ended = await run(["bench", "--shape", "llama-1b", "--json", join(folder, name)]);
    const says = `: cannot be written \\((${code}): [^\n]*\\); name another file with --json\\n$`;
    expect(ended).toEqual({ code: 1, written: [expect.stringMatching(new RegExp(says))] });
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Runs a command in this process; gives what it wrote to stdout and stderr. */
async function run(argv: readonly string[]): Promise<{ code: number; written: string[] }> {
  const written: string[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation((text) => written.push(String(text)) > 0),
  );
  const code = await main(argv);
  for (const spy of spies) spy.mockRestore();
  return { code, written };
}

describe("a model is named by", () => {
  afterEach(() => vi.unstubAllGlobals());

  /** Answers every request with a status; gives the addresses that were asked for. */
  function stubFetch(status: number): string[] {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      return new Response(null, { status });
    });
    return asked;
  }

  test("a path, also where it looks like a hub id", async () => {
    const asked = stubFetch(404);
    const folder = await mkdtemp(join(tmpdir(), "ziggurat-test-"));
    try {
      await writeFile(join(folder, "m.gguf"), "GGUF");
      const source = await openModel(join(folder, "m.gguf"));
      expect(source).toMatchObject({ name: join(folder, "m.gguf"), size: 4 });
      await expect(openModel(join(folder, "none.gguf"))).rejects.toThrow("there is no such file");
      await expect(openModel(folder)).rejects.toThrow("is no file");
    } finally {
      await rm(folder, { recursive: true });
    }
    expect(asked).toEqual([]);
  });

  test("a hub id, with or without a revision", async () => {
    const asked = stubFetch(404);
    await expect(openModel("some/repo/q4/m.gguf")).rejects.toMatchObject({
      name: "SourceError",
      message: expect.stringMatching(/^some\/repo\/q4\/m\.gguf: there is no such file, and .* 404/),
    });
    await expect(openModel("some/repo@v1/m.gguf")).rejects.toThrow("answered 404");
    expect(asked).toEqual([
      "https://huggingface.co/some/repo/resolve/main/q4/m.gguf",
      "https://huggingface.co/some/repo/resolve/v1/m.gguf",
    ]);
  });

  test("a hub repository, with or without a revision", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      return new Response("{}", { status: 206, headers: { "content-range": "bytes 0-1/2" } });
    });
    const base = "https://huggingface.co/some/repo/resolve";
    expect(await findModel("some/repo")).toMatchObject({ name: `${base}/main/` });
    expect(await findModel("some/repo@v1")).toMatchObject({ name: `${base}/v1/` });
    expect(asked).toEqual([`${base}/main/config.json`, `${base}/v1/config.json`]);
  });

  test("a folder, also where it looks like a hub repository", async () => {
    const asked = stubFetch(404);
    expect(await findModel("test/golden")).toMatchObject({ name: "test/golden" });
    expect(asked).toEqual([]);
  });

  test.each(["public/nonesuch", "foo/bar.bin", "foo/bar@v1", "foo/bar/none.gguf"])(
    "nothing there is under %s, as a path or at the hub",
    async (model) => {
      const asked = stubFetch(404);
      await expect(findModel(model)).rejects.toMatchObject({
        name: "SourceError",
        message: expect.stringMatching(
          new RegExp(
            `^${model}: there is no such file, and as a hub id: https://huggingface\\.co/.*;`,
          ),
        ),
      });
      expect(asked).toHaveLength(1);
    },
  );

  test.each([
    ...["./none", "../none", "./none.gguf", "../models/none.gguf", "none", "a/b/c", "a/b.gguf"],
    ...["a/b@..", "a/b@../../c", "a/b@v1/../m.gguf"],
  ])("nothing there is under the path %s, which is no hub id", async (model) => {
    const asked = stubFetch(404);
    await expect(findModel(model)).rejects.toMatchObject({
      name: "SourceError",
      message: `${model}: there is no such file; check the path`,
    });
    expect(asked).toEqual([]);
  });

  test("an address", async () => {
    const asked = stubFetch(403);
    await expect(openModel("https://example.org/m.gguf")).rejects.toThrow("answered 403");
    expect(asked).toEqual(["https://example.org/m.gguf"]);
  });
});
