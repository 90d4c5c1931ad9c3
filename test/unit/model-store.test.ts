import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { modelStore } from "../../src/hub/model-store.ts";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import {
  cacheBackend,
  directoryBackend,
  memoryBackend,
  type StoreBackend,
} from "../../src/hub/store-backend.ts";
import { folderOf } from "../../src/hub/stored-file.ts";
import { fakeCache, fakeDirectory } from "./fake-storage.ts";
import {
  answerRange,
  content,
  type RangeServer,
  sourceError,
  startRangeServer,
} from "./range-server.ts";

let server: RangeServer;
beforeEach(async () => (server = await startRangeServer()));
afterEach(() => server.stop());

const FAST = { pieceBytes: 1024, pauseMs: 1, stallMs: 2000 };
const PIECES = Math.ceil(content.length / FAST.pieceBytes);

const BACKENDS: Readonly<Record<string, () => StoreBackend>> = {
  memory: memoryBackend,
  opfs: () => directoryBackend(fakeDirectory()),
  cache: () => cacheBackend(fakeCache()),
};

describe.each(Object.keys(BACKENDS))("a store in %s", (kind) => {
  test("downloads, reads, lists, verifies and deletes", async () => {
    const store = await modelStore(BACKENDS[kind]());
    expect(store.kind).toBe(kind);
    expect(await store.list()).toEqual([]);
    const progress: DownloadProgress[] = [];
    const source = await store.download(server.url, {
      ...FAST,
      onProgress: (step) => progress.push(step),
    });
    expect(await source.read(0, content.length)).toEqual(content);
    expect(await source.read(1020, 3000)).toEqual(content.subarray(1020, 4020));
    await expect(source.read(9000, 1001)).rejects.toThrow("cannot read 1001 bytes at 9000");
    expect(progress.map(({ loadedBytes }) => loadedBytes)).toEqual(
      progress.map(({ loadedBytes }) => loadedBytes).sort((a, b) => a - b),
    );
    expect(progress[0]).toMatchObject({ loadedBytes: 0, storedBytes: 0, totalBytes: 10_000 });
    expect(progress.at(-1)).toMatchObject({ loadedBytes: 10_000, secondsLeft: 0 });
    const whole = { url: server.url, totalBytes: 10_000, storedBytes: 10_000, isReadable: true };
    expect(await store.list()).toEqual([whole]);
    expect(new Set(progress.map(({ stage }) => stage))).toEqual(new Set(["fetch"]));
    const checks: DownloadProgress[] = [];
    const onProgress = (step: DownloadProgress): void => void checks.push(step);
    expect(await store.verify(server.url, { onProgress })).toBe(true);
    expect(checks).toHaveLength(PIECES + 1);
    expect(checks[0]).toMatchObject({ url: server.url, stage: "check", loadedBytes: 0 });
    expect(checks.at(-1)).toMatchObject({
      loadedBytes: 10_000,
      totalBytes: 10_000,
      secondsLeft: 0,
    });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(store.verify(server.url, { signal })).rejects.toThrow("enough");
    await store.delete(server.url);
    expect(await store.list()).toEqual([]);
    expect((await sourceError(source.read(0, 10))).message).toContain("stored copy is gone");
  });

  test("asks the server nothing once the copy is complete", async () => {
    const backend = BACKENDS[kind]();
    await (await modelStore(backend)).download(server.url, FAST);
    const asked = server.requests.length;
    server.stop();
    const source = await (await modelStore(backend)).download(server.url, FAST);
    expect(await source.read(5000, 100)).toEqual(content.subarray(5000, 5100));
    expect(server.requests.length).toBe(asked);
  });

  test("goes on after an abort, in another page, with what is missing only", async () => {
    const backend = BACKENDS[kind]();
    const stop = new AbortController();
    const first = (await modelStore(backend)).download(server.url, {
      ...FAST,
      parallel: 1,
      signal: stop.signal,
      onProgress: ({ loadedBytes }) => loadedBytes >= 4096 && stop.abort(new Error("enough")),
    });
    await expect(first).rejects.toThrow("enough");
    const store = await modelStore(backend);
    expect(await store.list()).toMatchObject([{ storedBytes: 4096 }]);
    server.requests = [];
    const source = await store.download(server.url, FAST);
    expect(server.requests.filter((range) => range !== "bytes=0-1")).toHaveLength(PIECES - 4);
    expect(await source.read(0, content.length)).toEqual(content);
  });

  test("is shared by two tabs that download the same file at once", async () => {
    const backend = BACKENDS[kind]();
    let begin = (): void => {};
    const first = new Promise<void>((resolve) => (begin = resolve));
    // This one has seen an empty store, and asks its server when the other one is done.
    const late = (await modelStore(backend)).download(server.url, {
      ...FAST,
      fetch: async (...request) => {
        await first;
        return fetch(...request);
      },
    });
    const early = await (await modelStore(backend)).download(server.url, FAST);
    server.requests = [];
    begin();
    expect(await (await late).read(0, content.length)).toEqual(content);
    expect(server.requests).toEqual(["bytes=0-1"]);
    expect(await early.read(0, content.length)).toEqual(content);
  });

  test("finds damaged and cut pieces, and fetches them again", async () => {
    const backend = BACKENDS[kind]();
    const store = await modelStore(backend);
    await store.download(server.url, FAST);
    const folder = await folderOf(server.url);
    const pieces = [...(await backend.files(folder)).keys()].filter((name) =>
      name.startsWith("piece"),
    );
    await backend.write(folder, pieces[2], new Uint8Array(1024).fill(7));
    await backend.write(folder, pieces[5], new Uint8Array(10));
    expect(await store.verify(server.url)).toBe(false);
    expect(await store.list()).toMatchObject([{ storedBytes: 10_000 - 2048 }]);
    server.requests = [];
    const source = await store.download(server.url, FAST);
    expect(server.requests).toHaveLength(3);
    expect(await source.read(0, content.length)).toEqual(content);
    expect(await store.verify(server.url)).toBe(true);
  });
});

describe("a server that", () => {
  test("cuts the first answer to each request is asked again", async () => {
    const seen = new Set<string>();
    server.answer = (request, response) => {
      const range = String(request.headers.range);
      const half = (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1);
      answerRange(seen.has(range) ? {} : { body: half })(request, response);
      seen.add(range);
    };
    const source = await (await modelStore(memoryBackend())).download(server.url, FAST);
    expect(await source.read(0, content.length)).toEqual(content);
    expect(server.requests).toHaveLength(2 * (PIECES + 1));
  });

  test("stalls is asked again, and given up in the end", async () => {
    let stalls = 1;
    const whole = answerRange({});
    server.answer = (request, response) => {
      if (request.headers.range === "bytes=2048-3071" && stalls-- > 0) return;
      whole(request, response);
    };
    const options = { ...FAST, stallMs: 300 };
    const store = await modelStore(memoryBackend());
    await store.download(server.url, options);
    await store.delete(server.url);
    stalls = Infinity;
    const error = await sourceError(store.download(server.url, { ...options, tries: 2 }));
    expect(error.message).toContain("sent nothing for");
    expect((await store.list())[0].storedBytes).toBeGreaterThan(0);
  });

  test("lies about lengths is not believed", async () => {
    const store = await modelStore(memoryBackend());
    const lie = (start: number, end: number) =>
      `bytes ${start}-${end}/${start === 0 ? 10_000 : 9_000}`;
    server.answer = answerRange({ contentRange: lie });
    const error = await sourceError(store.download(server.url, FAST));
    expect(error.message).toMatch(/changed on the server|answered Content-Range/);
    server.answer = answerRange({ body: (bytes) => Buffer.concat([bytes, bytes]) });
    expect((await sourceError(store.download(server.url, FAST))).message).toMatch(
      /sent more|fetched/,
    );
  });

  test("ignores ranges is refused", async () => {
    server.answer = (_, response) => response.end(content);
    const store = await modelStore(memoryBackend());
    const error = await sourceError(store.download(server.url, FAST));
    expect(error.message).toContain("does not support range requests");
    expect(server.requests).toHaveLength(1);
  });

  test("changes the file in between ends the download; the next one begins anew", async () => {
    const store = await modelStore(memoryBackend());
    let count = 0;
    const [old, renewed] = [answerRange({}), answerRange({ headers: { ETag: '"two"' } })];
    server.answer = (request, response) => (count++ < 4 ? old : renewed)(request, response);
    const error = await sourceError(store.download(server.url, { ...FAST, parallel: 1 }));
    expect(error.message).toContain("changed on the server");
    expect(await store.list()).toMatchObject([{ storedBytes: 3072 }]);
    server.requests = [];
    await store.download(server.url, FAST);
    expect(server.requests).toHaveLength(PIECES + 1);
  });

  test("answers errors: 503 is asked again, 404 is not", async () => {
    const store = await modelStore(memoryBackend());
    let busy = 2;
    const whole = answerRange({});
    server.answer = (request, response) =>
      busy-- > 0 ? answerRange({ status: 503 })(request, response) : whole(request, response);
    await store.download(server.url, FAST);
    await store.delete(server.url);
    server.requests = [];
    server.answer = answerRange({ status: 404 });
    expect((await sourceError(store.download(server.url, FAST))).message).toContain("answered 404");
    expect(server.requests).toHaveLength(1);
  });
});

test("a full disk is said, and what fitted stays", async () => {
  const backend = memoryBackend();
  let room = 4;
  const full: StoreBackend = {
    ...backend,
    write: async (folder, file, bytes) => {
      if (room-- <= 0) throw new DOMException("no room", "QuotaExceededError");
      await backend.write(folder, file, bytes);
    },
  };
  const store = await modelStore(full);
  const error = await sourceError(store.download(server.url, { ...FAST, parallel: 1 }));
  expect(error.message).toContain("there is no room left; delete a stored model");
  expect(await store.list()).toMatchObject([{ storedBytes: 3072 }]);
});

test("a manifest that is damaged counts as none", async () => {
  const backend = memoryBackend();
  const store = await modelStore(backend);
  await store.download(server.url, FAST);
  const ofPieces = (pieceBytes: number): string =>
    JSON.stringify({ format: 2, url: "", size: 9, pieceBytes, etag: "", lastModified: "" });
  const texts = ["", "{", "[]", '{"format":2}', '{"format":1,"pieceBytes":0}'];
  for (const text of [...texts, ofPieces(0), ofPieces(64 * 2 ** 20 + 1)]) {
    await backend.write(await folderOf(server.url), "manifest.json", Buffer.from(text));
    const bytes = 10_000 + text.length;
    const [{ url, ...found }] = await store.list();
    expect(found).toEqual({ totalBytes: bytes, storedBytes: bytes, isReadable: false });
    expect(await store.verify(url)).toBe(false);
    await store.download(server.url, FAST);
    expect(await store.list()).toMatchObject([{ url: server.url, isReadable: true }]);
    expect(await store.verify(server.url)).toBe(true);
  }
});

test("what can't be read is deleted by the name that it is listed by, and nothing else is", async () => {
  const backend = memoryBackend();
  const store = await modelStore(backend);
  await store.download(server.url, FAST);
  await backend.write("of-an-older-version", "piece", new Uint8Array(7));
  await backend.write("of-an-older-version", "manifest.json", Buffer.from('{"format":1}'));
  const unreadable = (await store.list()).filter(({ isReadable }) => !isReadable);
  expect(unreadable.map(({ storedBytes }) => storedBytes)).toEqual([19]);
  await store.delete(unreadable[0].url);
  expect(await store.list()).toMatchObject([{ url: server.url, isReadable: true }]);
  expect(await backend.folders()).toHaveLength(1);
});

test.each([
  ["parallel", [0, -1, 1.5, NaN, 33, "4"], "a whole number from 1 to 32"],
  ["pieceBytes", [0, 1023, 64 * 2 ** 20 + 1, Infinity], "a whole number from 1024 to 67108864"],
  ["tries", [0, 17], "a whole number from 1 to 16"],
  ["pauseMs", [-1, 60_001], "a whole number from 0 to 60000"],
  ["stallMs", [0, Infinity], "a whole number from 1 to 2147483647"],
])("the option %s has bounds", async (option, values, rule) => {
  const store = await modelStore(memoryBackend());
  for (const value of values) {
    const options = { ...FAST, [option]: value };
    const error = `${option} must be ${rule}, got ${value}`;
    await expect(store.download(server.url, options)).rejects.toThrow(error);
  }
  expect(server.requests).toEqual([]);
});
