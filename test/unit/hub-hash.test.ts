import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import { modelStore } from "../../src/hub/model-store.ts";
import { memoryBackend } from "../../src/hub/store-backend.ts";
import {
  answerRange,
  content,
  type RangeServer,
  sourceError,
  startRangeServer,
} from "./range-server.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let server: RangeServer;
beforeEach(async () => (server = await startRangeServer()));
afterEach(() => server.stop());

const FAST = { pieceBytes: 1024, pauseMs: 1, stallMs: 2000 };

/** What a hub does with requests for a pointer. */
type PointerAnswer = (response: ServerResponse) => unknown;

const pointer =
  (oid: string): PointerAnswer =>
  (response) =>
    response.end(`version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 10000\n`);
const refusal =
  (status: number): PointerAnswer =>
  (response) =>
    response.writeHead(status).end("oid sha256:none");
const silence: PointerAnswer = () => {};

/** A hub with these answers to requests under `raw`, the last of them again and again. */
function answerHub(...answers: PointerAnswer[]): {
  readonly asked: string[];
  readonly askedRaw: () => number;
} {
  const asked: string[] = [];
  const serve = answerRange({});
  server.answer = (request, response) => {
    asked.push(request.url ?? "");
    if (!request.url?.includes("/raw/")) return serve(request, response);
    return (answers.length > 1 ? answers.shift() : answers[0])?.(response);
  };
  return { asked, askedRaw: () => asked.filter((url) => url.includes("/raw/")).length };
}

const model = () => ({
  repository: "some/model",
  revision: "v1",
  file: "a/model.gguf",
  endpoint: new URL(server.url).origin,
});

test("a file that is what its hub says is hashed once, also when it was cut", async () => {
  const { asked, askedRaw } = answerHub(pointer(sha256(content)));
  const backend = memoryBackend();
  const store = await modelStore(backend);
  const seen: DownloadProgress[] = [];
  const onProgress = (step: DownloadProgress): void => void seen.push(step);
  const source = await store.model(model(), { ...FAST, onProgress });
  const bytesIn = (stage: string): number[] =>
    seen.filter((step) => step.stage === stage).map(({ loadedBytes }) => loadedBytes);
  const byPieces = [...Array(10).keys(), 9.765625].map((pieces) => pieces * 1024);
  expect(bytesIn("fetch").at(-1)).toBe(10_000);
  expect(bytesIn("check")).toEqual(byPieces);
  expect(seen.at(-1)).toMatchObject({ stage: "check", totalBytes: 10_000, secondsLeft: 0 });
  expect("read" in source && (await source.read(0, 10_000))).toEqual(content);
  expect(asked[1]).toBe("/some/model/raw/v1/a/model.gguf");
  const [folder] = await backend.folders();
  await backend.removeFile(folder, "checked"); // as if the page was closed before the check
  await store.model(model(), FAST);
  expect(await backend.read(folder, "checked")).toBeDefined();
  expect(askedRaw()).toBe(1);
});

test("one that isn't is deleted", async () => {
  answerHub(pointer("0".repeat(64)));
  const store = await modelStore(memoryBackend());
  const error = await sourceError(store.model(model(), FAST));
  expect(error.message).toContain(`has the SHA-256 ${sha256(content)}, and not 000`);
  expect(await store.list()).toEqual([]);
});

test("a hub that tells no hash is taken at its word", async () => {
  answerHub(refusal(404));
  const store = await modelStore(memoryBackend());
  await store.model(model(), FAST);
  expect(await store.list()).toHaveLength(1);
});

test("a hub that is busy for now is asked again, and its hash counts", async () => {
  const { askedRaw } = answerHub(refusal(503), refusal(429), silence, pointer("0".repeat(64)));
  const store = await modelStore(memoryBackend());
  const error = await sourceError(store.model(model(), { ...FAST, stallMs: 300 }));
  expect(error.message).toContain("and not 000");
  expect(askedRaw()).toBe(4);
});

test.each([
  ["refuses", refusal(401), 1, "answered 401"],
  ["stays busy", refusal(503), 2, "answered 503"],
  ["falls silent", silence, 2, "sent nothing for"],
])("a hub that %s ends the download before it begins", async (_, answer, times, message) => {
  const { askedRaw } = answerHub(answer);
  const store = await modelStore(memoryBackend());
  const options = { ...FAST, stallMs: 300, tries: 2 };
  const error = await sourceError(store.model(model(), options));
  expect(error.message).toContain(message);
  expect(askedRaw()).toBe(times);
  expect(await store.list()).toEqual([]);
});

describe("a copy that was checked, and of which a piece", () => {
  test.each([
    ["is damaged", new Uint8Array(1024).fill(7)],
    ["is cut", new Uint8Array(10)],
  ])("%s, is checked again with the new piece", async (_, damaged) => {
    answerHub(pointer(sha256(content)));
    const backend = memoryBackend();
    const store = await modelStore(backend);
    await store.model(model(), FAST);
    const [folder] = await backend.folders();
    const names = [...(await backend.files(folder)).keys()];
    const piece = names.find((name) => name.startsWith("piece-3-"))!;
    await backend.write(folder, piece, damaged);
    const url = `${model().endpoint}/some/model/resolve/v1/a/model.gguf`;
    expect(await store.verify(url)).toBe(false);
    const sound = server.answer;
    server.answer = (request, response) =>
      request.headers.range === "bytes=3072-4095"
        ? answerRange({ body: (bytes) => bytes.map((byte) => byte ^ 1) })(request, response)
        : sound(request, response);
    const error = await sourceError(store.model(model(), FAST));
    expect(error.message).toContain(`and not ${sha256(content)} as its hub says`);
    expect(await store.list()).toEqual([]);
    server.answer = sound;
    await store.model(model(), FAST);
    expect(await store.verify(url)).toBe(true);
  });
});

describe("a copy that was begun by its address alone", () => {
  const address = () => `${model().endpoint}/some/model/resolve/v1/a/model.gguf`;

  test.each(["whole", "cut"])("and is %s, is held against the hub's hash", async (state) => {
    const { askedRaw } = answerHub(pointer("0".repeat(64)));
    const store = await modelStore(memoryBackend());
    const stop = new AbortController();
    const begun = store.download(address(), {
      ...{ ...FAST, parallel: 1, signal: stop.signal },
      onProgress: ({ loadedBytes }) =>
        state === "cut" && loadedBytes >= 4096 && stop.abort(new Error("enough")),
    });
    await begun.catch(() => undefined);
    expect(askedRaw()).toBe(0);
    const error = await sourceError(store.model(model(), FAST));
    expect(error.message).toContain("and not 000");
    expect(await store.list()).toEqual([]);
  });

  test("is asked for once, also where there is no hash", async () => {
    const { askedRaw } = answerHub(refusal(404));
    const store = await modelStore(memoryBackend());
    await store.download(address(), FAST);
    await store.model(model(), FAST);
    await store.model(model(), FAST);
    expect(askedRaw()).toBe(1);
  });
});
