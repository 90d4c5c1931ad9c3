import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FileSource, openFileSource } from "../../src/cli/file-source.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { readAhead } from "../../src/hub/read-ahead.ts";
import { blobSource, bufferSource, openUrlSource } from "../../src/hub/sources.ts";
import { content, type RangeServer, sourceError, startRangeServer } from "./range-server.ts";

let server: RangeServer;
beforeAll(async () => {
  server = await startRangeServer();
});
afterAll(() => server.stop());

let folder = "";
let path = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziggurat-source-"));
  path = join(folder, "model.gguf");
  await writeFile(path, content);
});
afterAll(() => rm(folder, { recursive: true }));

const opened: FileSource[] = [];
afterAll(() => Promise.all(opened.map((file) => file.close())));

async function openedFile(): Promise<ByteSource> {
  const source = await openFileSource(path);
  opened.push(source);
  return source;
}

const kinds: Record<string, () => Promise<ByteSource>> = {
  buffer: async () => bufferSource(content, "model.gguf"),
  "array buffer": async () => bufferSource(content.slice().buffer, "model.gguf"),
  blob: async () => blobSource(new Blob([content]), "model.gguf"),
  file: openedFile,
  url: () => openUrlSource(server.url),
};

describe.each(Object.keys(kinds))("%s source", (kind) => {
  it("has the size, and reads any range", async () => {
    const source = await kinds[kind]();
    expect(source.size).toBe(content.length);
    expect(source.name).toContain("model.gguf");
    for (const [offset, length] of [
      [0, 4],
      [4, 1000],
      [9_990, 10],
      [0, 10_000],
      [500, 0],
      [10_000, 0],
    ]) {
      expect(await source.read(offset, length)).toEqual(content.slice(offset, offset + length));
    }
  });

  it("reads with memory to put it in", async () => {
    const source = await kinds[kind]();
    const into = new Uint8Array(200).fill(7);
    expect(await source.read(300, 100, undefined, into)).toEqual(content.slice(300, 400));
    expect(into.subarray(100)).toEqual(new Uint8Array(100).fill(7));
  });

  it("refuses ranges outside", async () => {
    const source = await kinds[kind]();
    for (const [offset, length] of [
      [9_990, 11],
      [-1, 4],
      [10_001, 0],
      [0, 2 ** 54],
      [0.5, 1],
      [NaN, 1],
    ]) {
      const error = await sourceError(source.read(offset, length));
      expect(error.message).toContain("it has 10000 bytes");
    }
  });

  it("throws the reason of an aborted signal, unwrapped", async () => {
    const source = await kinds[kind]();
    const reason = new Error("stop");
    await expect(source.read(0, 4, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
  });
});

describe("blobSource", () => {
  it("takes the name of a file", () => {
    expect(blobSource(new File([content], "picked.gguf")).name).toBe("picked.gguf");
    expect(blobSource(new Blob([content])).name).toBe("blob");
  });

  it("says so when the file behind it is gone", async () => {
    const blob = new Blob([content]);
    blob.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadable")) }) as never;
    const error = await sourceError(blobSource(blob, "m").read(0, 4));
    expect(error.message).toContain("choose the file again");
  });
});

describe("openFileSource", () => {
  it("says what is wrong with a path", async () => {
    expect((await sourceError(openFileSource(join(folder, "none")))).message).toContain(
      "there is no such file",
    );
    expect((await sourceError(openFileSource(folder))).message).toContain("is no file");
    expect((await sourceError(openFileSource(join(path, "below")))).message).toContain("no such");
  });

  it("notices a file that was cut after it was opened, and one that was closed", async () => {
    const cut = join(folder, "cut.gguf");
    await writeFile(cut, content);
    const source = await openFileSource(cut);
    await truncate(cut, 100);
    expect((await sourceError(source.read(50, 100))).message).toContain("ended at 100 of 10000");
    await source.close();
    expect((await sourceError(source.read(0, 10))).message).toContain("could not be read");
  });
});

describe("readAhead", () => {
  const counted = (): { source: ByteSource; reads: [number, number][] } => {
    const reads: [number, number][] = [];
    const plain = bufferSource(content, "m");
    const source: ByteSource = {
      ...plain,
      read: (offset, length, signal) => {
        reads.push([offset, length]);
        return plain.read(offset, length, signal);
      },
    };
    return { source: readAhead(source, 1000), reads };
  };

  it("reads whole blocks, and keeps the last three", async () => {
    const { source, reads } = counted();
    for (const [offset, length] of [
      [0, 10],
      [10, 1985],
      [990, 20],
      [9100, 900],
      [1500, 10],
      [9999, 1],
      [2000, 1000],
      [0, 1],
      [500, 0],
    ]) {
      expect(await source.read(offset, length)).toEqual(content.slice(offset, offset + length));
    }
    const block = (index: number): [number, number] => [index * 1000, 1000];
    expect(reads).toEqual([0, 1, 9, 2, 0].map(block));
  });

  it("fetches nothing twice while two places of the file are read in turn", async () => {
    const { source, reads } = counted();
    for (let at = 0; at < 4500; at += 300) {
      await source.read(at, 300);
      await source.read(5000 + at, 300);
    }
    expect(reads.length).toBe(10);
  });

  it("reads a short last block", async () => {
    const source = readAhead(bufferSource(content.subarray(0, 1500), "m"), 1000);
    expect(await source.read(900, 600)).toEqual(content.slice(900, 1500));
  });

  it("keeps concurrent reads apart", async () => {
    const { source } = counted();
    const offsets = [0, 5000, 10, 8000, 20, 5100];
    const all = await Promise.all(offsets.map((offset) => source.read(offset, 300)));
    expect(all).toEqual(offsets.map((offset) => content.slice(offset, offset + 300)));
  });
});
