import { expect, test } from "vitest";
import { modelAmong } from "../../demo/file-input.ts";
import { isKeepable } from "../../demo/kept-models.ts";
import { ADDRESS_PATTERN, parseModelAddress } from "../../demo/model-address.ts";

const file = (name: string): File => new File(["x"], name);

test("an address, a folder's address, a repository, a file of a repository", () => {
  const url = "https://models.test/some/tiny.gguf?download=true";
  expect(parseModelAddress(` ${url} `)).toEqual({ name: "tiny.gguf", source: new URL(url) });
  const folder = "https://models.test/some/tiny/";
  expect(parseModelAddress(folder)).toEqual({ name: "tiny", source: new URL(folder) });
  const repository = "owner/a.model-1";
  expect(parseModelAddress(repository)).toEqual({ name: repository, source: { repository } });
  expect(parseModelAddress(`${repository}/q4/a.gguf`)).toEqual({
    name: "a.gguf",
    source: { repository, file: "q4/a.gguf" },
  });
});

test("what begins as an address and is none has no model", () => {
  for (const text of ["https://models.test:99999/a.gguf", "https://:80/", "https://a%zz/"]) {
    expect(parseModelAddress(text), text).toBeUndefined();
  }
});

test.each([
  ["https://models.test/a.gguf", true],
  ["owner/name", true],
  ["owner/name/file.gguf", true],
  ["https://models.test/a.gguf ", true],
  ["https://models test/a.gguf", false],
  ["http://models.test/a.gguf", false],
  ["file:///a.gguf", false],
  ["name", false],
  ["../owner", false],
])("the field takes %s: %s", (text, takes) => {
  expect(new RegExp(`^(?:${ADDRESS_PATTERN})$`, "v").test(text)).toBe(takes);
});

test("one GGUF file, or weights with what belongs to them, are a model", () => {
  const [gguf, one, two, config, text] = [
    "a.gguf",
    "1.safetensors",
    "2.safetensors",
    "config.json",
    "notes.txt",
  ].map(file);
  expect(modelAmong([text, gguf])).toEqual({ name: "a.gguf", source: gguf });
  expect(modelAmong([config, two, text, one])).toEqual({
    name: "2.safetensors",
    source: [config, two, one],
  });
  expect(modelAmong([config, text])).toBeUndefined();
});

test("files of the network are kept, folders and the user's own files are not", () => {
  expect(isKeepable(new URL("https://models.test/a.gguf"))).toBe(true);
  expect(isKeepable({ repository: "owner/name", file: "a.gguf" })).toBe(true);
  expect(isKeepable(new URL("https://models.test/a/"))).toBe(false);
  expect(isKeepable({ repository: "owner/name" })).toBe(false);
  expect(isKeepable(file("a.gguf"))).toBe(false);
});
