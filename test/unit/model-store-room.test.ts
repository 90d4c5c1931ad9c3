import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { modelStore } from "../../src/hub/model-store.ts";
import { fakeCache, fakeDirectory } from "./fake-storage.ts";
import { content, type RangeServer, sourceError, startRangeServer } from "./range-server.ts";

// What a browser has, and the store finds for itself.

let server: RangeServer;
beforeEach(async () => (server = await startRangeServer()));
afterEach(() => {
  server.stop();
  vi.unstubAllGlobals();
});

const FAST = { pieceBytes: 1024, pauseMs: 1, stallMs: 2000 };

const refuse = async (): Promise<never> => {
  throw new DOMException("not in a private window", "SecurityError");
};

/** Stands in for a browser with these parts. */
function stubBrowser(
  storage: Partial<StorageManager> | undefined,
  open: CacheStorage["open"] | undefined = undefined,
  writable: object = { createWritable: () => {} },
): void {
  vi.stubGlobal("navigator", { storage });
  vi.stubGlobal("caches", open && { open });
  vi.stubGlobal("FileSystemFileHandle", { prototype: writable });
}

const directory = async (): Promise<FileSystemDirectoryHandle> => fakeDirectory();
const cache = async (): Promise<Cache> => fakeCache();

describe("the store is", () => {
  const cases: readonly (readonly [string, string, () => void])[] = [
    ["opfs", "where there is all", () => stubBrowser({ getDirectory: directory }, cache)],
    [
      "cache",
      "where files can't be written",
      () => stubBrowser({ getDirectory: directory }, cache, {}),
    ],
    ["cache", "where the file system refuses", () => stubBrowser({ getDirectory: refuse }, cache)],
    ["cache", "where there is no storage", () => stubBrowser(undefined, cache)],
    ["memory", "where both refuse", () => stubBrowser({ getDirectory: refuse }, refuse)],
    ["memory", "where there is neither", () => stubBrowser({})],
  ];
  test.each(cases)("in %s %s", async (kind, _, stub) => {
    stub();
    const store = await modelStore();
    expect(store.kind).toBe(kind);
    const source = await store.download(server.url, FAST);
    expect(await source.read(0, content.length)).toEqual(content);
  });
});

describe("room", () => {
  const room = (bytes: number): Partial<StorageManager> => ({
    getDirectory: directory,
    estimate: async () => ({ quota: 50_000, usage: 50_000 - bytes }),
  });

  test("that is too small is said before anything is fetched", async () => {
    stubBrowser(room(9_999));
    const store = await modelStore();
    const error = await sourceError(store.download(server.url, FAST));
    expect(error.message).toBe(
      "the model store: needs 10000 more bytes, but the browser leaves 9999; delete a stored model",
    );
    expect(server.requests).toEqual(["bytes=0-1"]);
  });

  test("is needed only for what is missing", async () => {
    const place = fakeDirectory();
    const stop = new AbortController();
    stubBrowser({ ...room(10_000), getDirectory: async () => place });
    const options = { ...FAST, parallel: 1, signal: stop.signal };
    const onProgress = ({ loadedBytes }: { loadedBytes: number }): void => {
      if (loadedBytes >= 4096) stop.abort(new Error("enough"));
    };
    const begun = (await modelStore()).download(server.url, { ...options, onProgress });
    await expect(begun).rejects.toThrow("enough");
    stubBrowser({ ...room(5903), getDirectory: async () => place });
    const error = await sourceError((await modelStore()).download(server.url, FAST));
    expect(error.message).toContain("needs 5904 more bytes, but the browser leaves 5903");
    stubBrowser({ ...room(5904), getDirectory: async () => place });
    const source = await (await modelStore()).download(server.url, FAST);
    expect(await source.read(0, content.length)).toEqual(content);
  });

  test.each([
    ["isn't told", async () => ({})],
    ["can't be asked for", refuse],
  ])("that %s counts as enough", async (_, estimate) => {
    stubBrowser({ getDirectory: directory, estimate });
    await (await modelStore()).download(server.url, FAST);
  });
});

describe("the browser is asked to keep the store", () => {
  test.each([true, false])("once, at the first download, and may say %s", async (granted) => {
    const persist = vi.fn<() => Promise<boolean>>(async () => granted);
    stubBrowser({ getDirectory: directory, persisted: async () => false, persist });
    const store = await modelStore();
    expect([store.isPersisted, persist.mock.calls.length]).toEqual([false, 0]);
    await store.download(server.url, FAST);
    await store.download(server.url, FAST);
    expect([store.isPersisted, persist.mock.calls.length]).toEqual([granted, 1]);
  });

  test("while its user thinks about it, the download goes on; a refusal to ask is none", async () => {
    let persist = (): Promise<boolean> => new Promise(() => {});
    stubBrowser({ getDirectory: directory, persist: () => persist() });
    await (await modelStore()).download(server.url, FAST);
    persist = refuse;
    const store = await modelStore();
    await store.download(server.url, FAST);
    expect(store.isPersisted).toBe(false);
  });

  test("not where it did so before, nor for memory", async () => {
    const persist = vi.fn<() => Promise<boolean>>(async () => true);
    stubBrowser({ getDirectory: directory, persisted: async () => true, persist });
    const store = await modelStore();
    expect(store.isPersisted).toBe(true);
    await store.download(server.url, FAST);
    stubBrowser({ getDirectory: refuse, persisted: async () => false, persist });
    await (await modelStore()).download(server.url, FAST);
    expect(persist).not.toHaveBeenCalled();
  });
});
