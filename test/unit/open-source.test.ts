import { afterEach, describe, expect, test, vi } from "vitest";
import { packSource } from "../../src/api/wire-source.ts";
import type { ModelFolder } from "../../src/formats/folder.ts";
import { type ModelSource, openSource } from "../../src/hub/open-source.ts";
import { answerRange, sourceError, startRangeServer } from "./range-server.ts";

/** The folder of a source that must be one. */
async function openFolder(source: ModelSource): Promise<ModelFolder> {
  const opened = await openSource(source);
  if ("file" in opened) throw new Error("it is a file");
  return opened.folder;
}

describe("a folder's address", () => {
  test.each([
    ["m/", "/m/config.json"],
    ["m/?token=a&b=/c", "/m/config.json?token=a&b=/c"],
    ["m/?token=a#part", "/m/config.json?token=a"],
    ["m/#part", "/m/config.json"],
  ])("%s: files are asked for as %s", async (address, expected) => {
    const server = await startRangeServer();
    const asked: string[] = [];
    server.answer = (request, response) => {
      asked.push(request.url ?? "");
      answerRange(request.url?.includes("none") ? { status: 404 } : {})(request, response);
    };
    const folder = await openFolder(new URL(address, server.url).href);
    expect((await folder.open("config.json"))?.size).toBe(10_000);
    expect(await folder.open("none.json")).toBeUndefined();
    expect(asked).toEqual([expected, expected.replace("config", "none")]);
    server.stop();
  });
});

/** A file that holds its own path, as picking a folder gives it. */
function picked(path: string): File {
  const file = new File([path], path.split("/").at(-1)!);
  return Object.defineProperty(file, "webkitRelativePath", { value: path });
}

const FILES = [
  "model/onnx/config.json",
  "model/config.json",
  "model/onnx/only.json",
  "model/old/config.json",
].map(picked);

/** Stands in for a page's: a list, but no array. */
class FakeFileList {
  readonly #files: readonly File[];
  constructor(files: readonly File[]) {
    this.#files = files;
  }
  [Symbol.iterator](): Iterator<File> {
    return this.#files.values();
  }
}
const fileList = (files: readonly File[]): FileList => {
  vi.stubGlobal("FileList", FakeFileList);
  return new FakeFileList(files) as unknown as FileList;
};
afterEach(() => void vi.unstubAllGlobals());

describe.each([
  ["an array", (): ModelSource => [...FILES, picked("model/a.txt")]],
  ["a FileList", (): ModelSource => fileList([...FILES, picked("model/a.txt")])],
  [
    "a list on its way to a worker",
    (): ModelSource => packSource(fileList([...FILES, picked("model/a.txt")]), []) as File[],
  ],
])("a picked folder as %s", (_, list) => {
  test("is its own files, without those of its subfolders", async () => {
    const folder = await openFolder(list());
    expect(folder.name).toBe("model");
    const config = await folder.open("config.json");
    expect(Buffer.from(await config!.read(0, config!.size)).toString()).toBe("model/config.json");
    expect(await folder.open("only.json")).toBeUndefined();
  });
});

test("a picked folder with one file of its own is that file", async () => {
  const opened = await openSource(fileList(FILES));
  expect("file" in opened && opened.file.name).toBe("config.json");
});

test("files without a way to them count by their names, each once", async () => {
  const files = ["config.json", "a.txt"].map((name) => new File([name], name));
  expect((await openFolder(files)).name).toBe("2 files");
  const twice = [...files, new File([""], "a.txt")];
  await expect(openSource(twice)).rejects.toThrow(/files of one model, each name once, got a.txt/);
});

test("a directory that has no such file says so by undefined", async () => {
  const missing = async (): Promise<never> => {
    throw new DOMException("it is not there", "NotFoundError");
  };
  const locked = async (): Promise<never> => {
    throw new DOMException("no", "NotAllowedError");
  };
  const handle = (getFileHandle: () => Promise<never>): FileSystemDirectoryHandle =>
    ({ kind: "directory", name: "models", getFileHandle }) as never;
  expect(await (await openFolder(handle(missing))).open("config.json")).toBeUndefined();
  const error = await sourceError((await openFolder(handle(locked))).open("config.json"));
  expect(error.message).toContain("models/config.json: may not be read; choose the folder again");
});

test.each([7, null, {}, [7], new Uint8Array(3)])("%j is no source", async (source) => {
  await expect(openSource(source as never)).rejects.toThrow("source must be an address, files");
});
