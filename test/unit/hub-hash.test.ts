import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
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

/** A hub whose pointer names this hash; without one it answers `raw` with 404. */
function answerHub(oid: string | undefined): { readonly asked: string[] } {
  const asked: string[] = [];
  const serve = answerRange({});
  server.answer = (request, response) => {
    asked.push(request.url ?? "");
    if (!request.url?.includes("/raw/")) return serve(request, response);
    if (oid === undefined) return response.writeHead(404).end("oid sha256:none");
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 10000\n`;
    return response.end(pointer);
  };
  return { asked };
}

const model = () => ({
  repository: "some/model",
  revision: "v1",
  file: "a/model.gguf",
  endpoint: new URL(server.url).origin,
});

test("a file that is what its hub says is hashed once, also when it was cut", async () => {
  const { asked } = answerHub(sha256(content));
  const backend = memoryBackend();
  const store = await modelStore(backend);
  const source = await store.model(model(), FAST);
  expect("read" in source && (await source.read(0, 10_000))).toEqual(content);
  expect(asked[1]).toBe("/some/model/raw/v1/a/model.gguf");
  const [folder] = await backend.folders();
  await backend.removeFile(folder, "checked"); // as if the page was closed before the check
  await store.model(model(), FAST);
  expect(await backend.read(folder, "checked")).toBeDefined();
  expect(asked.filter((url) => url.includes("/raw/")).length).toBe(1);
});

test("one that isn't is deleted", async () => {
  answerHub("0".repeat(64));
  const store = await modelStore(memoryBackend());
  const error = await sourceError(store.model(model(), FAST));
  expect(error.message).toContain(`has the SHA-256 ${sha256(content)}, and not 000`);
  expect(await store.list()).toEqual([]);
});

test("a hub that tells no hash is taken at its word", async () => {
  answerHub(undefined);
  const store = await modelStore(memoryBackend());
  await store.model(model(), FAST);
  expect(await store.list()).toHaveLength(1);
});
