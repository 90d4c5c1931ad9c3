import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { patch, tinyFile } from "../engine/tiny-models.ts";
import { goldenPath } from "../golden/format.ts";
import { startBuilt, ziggurat, zigguratElsewhere } from "./built-command.ts";
import { type Ended, NO_VULKAN, temporaryFolder } from "./command.ts";

const MODEL = goldenPath("tiny-flow.gguf");

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** Answers every request with 404. */
let address: string;
const server = createServer((_request, response) => void response.writeHead(404).end());

beforeAll(async () => {
  folder = await temporaryFolder();
  await once(server.listen(0, "127.0.0.1"), "listening");
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

/** Nothing on stdout, one line on stderr that says what happened, and no stack. */
function expectOneSentence({ code, stdout, stderr }: Ended, exitCode: number, says: RegExp): void {
  expect({ code, stdout, stderr }).toEqual({
    ...{ code: exitCode, stdout: "", stderr: expect.stringMatching(/^ziggurat: [^\n]+\n$/) },
  });
  expect(stderr).toMatch(says);
  expect(stderr).not.toMatch(/ at .*:\d+:\d+/);
}

describe("wrong usage ends with exit code 2 and one sentence:", () => {
  test("an option that there is not", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--colour", "red"];
    expectOneSentence(await ziggurat(...argv), 2, /Unknown option '--colour'; see ziggurat --help/);
  });

  test("a context that is not shorter than the text", async () => {
    const file = await folder.write("short.txt", "12345");
    const argv = ["score", "--model", MODEL, "--text-file", file, "--context", "5"];
    expectOneSentence(await ziggurat(...argv), 2, /--context must be a whole number from 1 to 4/);
  });

  test("a text of which no token has a context", async () => {
    const file = await folder.write("empty.txt", "");
    const argv = ["score", "--model", MODEL, "--text-file", file, "--context", "5"];
    const says = /--text-file must be at least two tokens long, got 0;/;
    expectOneSentence(await ziggurat(...argv), 2, says);
  });

  test("an empty prompt", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "", "--raw"];
    expectOneSentence(await ziggurat(...argv), 2, /--prompt must be at least one token/);
  });
});

describe("a failure ends with exit code 1 and one sentence that says what to do:", () => {
  const generate = (model: string, ...more: string[]): Promise<Ended> =>
    ziggurat("generate", "--model", model, "--prompt", "Hi", ...more);

  test("no such model", async () => {
    const says = /none(\.gguf)?: there is no such file; check the path/;
    for (const model of ["none.gguf", "./none", "../none"]) {
      expectOneSentence(await ziggurat("inspect", "--model", model), 1, says);
    }
    expectOneSentence(await generate("none.gguf"), 1, says);
  });

  test("a default model that was not fetched", async () => {
    const says = /Q4_1\.gguf: the default model is not there; get it with `npm run fetch-model`/;
    expectOneSentence(await zigguratElsewhere(["bench"]), 1, says);
  });

  test("a folder that holds no model", async () => {
    const says = /there is no config\.json; give all files of the model/;
    expectOneSentence(await generate(folder.path), 1, says);
  });

  test("a text as model", async () => {
    const file = await folder.write("notes.txt", "# Notes\n\nNothing here is a model.\n");
    expectOneSentence(await generate(file), 1, /notes\.txt: magic should be "GGUF", got/);
    expectOneSentence(await ziggurat("inspect", "--model", file), 1, /magic should be "GGUF"/);
  });

  test("a model that was cut short", async () => {
    const file = await folder.write("cut.gguf", tinyFile("tiny-flow").subarray(0, 300_000));
    expectOneSentence(await generate(file), 1, /cut\.gguf: .* inside the file of 300000 bytes/);
  });

  test("a model without one of its tensors", async () => {
    const bytes = patch(tinyFile("tiny-flow"), "output_norm.weight", "output_nerm.weight");
    const file = await folder.write("bad.gguf", bytes);
    expectOneSentence(await generate(file), 1, /bad\.gguf: tensor "output_norm.weight" should be/);
  });

  test("an unknown architecture", async () => {
    const file = await folder.write("x.gguf", patch(tinyFile("tiny-flow"), "llama", "mamba"));
    expectOneSentence(await generate(file), 1, /"mamba" is not supported; supported: llama/);
  });

  test("more tokens than the context holds", async () => {
    const ended = await generate(MODEL, "--max-tokens", "8192");
    expectOneSentence(ended, 1, /needs \d+ tokens, but the context holds 8192/);
  });

  test("a prompt file that cannot be read", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt-file", "none.txt"];
    expectOneSentence(await ziggurat(...argv), 1, /none\.txt: cannot be read .*; check the path/);
  });

  test("no adapter", async () => {
    // With the variable set it does not look for the packaged SwiftShader.
    const environment = { ...NO_VULKAN, ZIGGURAT_ADAPTER: "none" };
    const run = startBuilt(["generate", "--model", MODEL, "--prompt", "Hi"], environment);
    const { stderr, ...ended } = await run.ended;
    // Before it Dawn tells of its own search.
    const last = stderr.slice(stderr.lastIndexOf("\n", stderr.length - 2) + 1);
    const says = /Dawn found no GPU: install a Vulkan driver .* `npm install @sparticuz\/chromium@/;
    expectOneSentence({ ...ended, stderr: last }, 1, says);
  });

  test("an address with nothing there, or nobody", async () => {
    const url = `${address}/model.gguf`;
    expectOneSentence(await generate(url), 1, /model\.gguf: answered 404: there is no such file/);
    const nobody = await generate("http://127.0.0.1:9/model.gguf");
    expectOneSentence(nobody, 1, /could not be fetched .*; check the address/);
  });
});

describe("signals", () => {
  test("Ctrl-C ends an answer in order", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--raw"];
    const run = startBuilt([...argv, "--max-tokens", "8000"]);
    await expect.poll(run.stdout, { timeout: 200_000 }).not.toBe("");
    run.signal("SIGINT");
    const { code, stderr } = await run.ended;
    expect({ code, stderr }).toEqual({ code: 1, stderr: "ziggurat: interrupted\n" });
  });

  test("a reader that goes away ends it quietly", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", "Hi", "--raw"];
    const run = startBuilt([...argv, "--max-tokens", "4000"]);
    await expect.poll(run.stdout, { timeout: 200_000 }).not.toBe("");
    run.closeStdout();
    const { code, stderr } = await run.ended;
    expect({ code, stderr }).toEqual({ code: 141, stderr: "" });
  });
});
