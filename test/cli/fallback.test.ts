import { readdir } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { goldenPath, readGolden } from "../golden/format.ts";
import { zigguratElsewhere } from "./built-command.ts";
import { NO_VULKAN, start, temporaryFolder } from "./command.ts";

const MODEL = goldenPath("tiny-flow.gguf");

/** A machine on which no Vulkan driver is to be found. */
const BARE = { ...NO_VULKAN, ZIGGURAT_ADAPTER: undefined };

describe("without a Vulkan driver the command runs on the packaged SwiftShader:", () => {
  test("an answer", async () => {
    const { text, tokenIds } = readGolden("tiny-flow").tokenizer[0];
    const argv = ["generate", "--model", MODEL, "--prompt", text, "--raw", "--json"];
    const { code, stdout, rawStderr } = await start([...argv, "--max-tokens", "5"], BARE).ended;
    expect({ code, rawStderr }).toEqual({ code: 0, rawStderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      promptTokenIds: tokenIds,
      finishReason: "length",
      adapter: { architecture: "swiftshader", isSoftware: true },
    });
  });

  test("a failure, in one sentence with nothing of Dawn's around it", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--max-tokens", "8192"];
    const { code, stdout, rawStderr } = await start(argv, BARE).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(rawStderr).toMatch(/^ziggurat: .*the context holds 8192; shorten it\n$/);
  });

  test("Ctrl-C", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--raw", "--max-tokens", "8000"];
    const run = start(argv, BARE);
    await expect.poll(run.stdout, { timeout: 200_000 }).not.toBe("");
    run.signal("SIGINT");
    const { code, stderr } = await run.ended;
    expect({ code, stderr }).toEqual({ code: 1, stderr: "ziggurat: interrupted\n" });
  });
});

describe("from a package whose folder is another user's it", () => {
  const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--raw", "--max-tokens", "1"];

  test("unpacks SwiftShader into a temporary folder, for as long as it runs", async () => {
    const { path: TMPDIR } = await temporaryFolder();
    const environment = { ...BARE, XDG_RUNTIME_DIR: undefined, TMPDIR };
    const { code, stdout, rawStderr } = await zigguratElsewhere(argv, environment);
    expect({ code, rawStderr }).toEqual({ code: 0, rawStderr: "" });
    expect(stdout).not.toBe("");
    expect(await readdir(TMPDIR)).toEqual([]);
  });

  test("says where SwiftShader could be unpacked, in one sentence", async () => {
    const folder = await temporaryFolder();
    const environment = { ...BARE, TMPDIR: await folder.write("file", "") };
    const { code, stdout, rawStderr } = await zigguratElsewhere(argv, environment);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(rawStderr).toMatch(
      /^ziggurat: .*SwiftShader could not be unpacked \(.*\); set TMPDIR .*\n$/,
    );
  });
});
