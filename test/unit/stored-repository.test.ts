import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ModelFolder } from "../../src/formats/folder.ts";
import { modelStore } from "../../src/hub/model-store.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { memoryBackend } from "../../src/hub/store-backend.ts";
import { type OpenModel, openModel } from "../../src/model/open-model.ts";
import { hfFiles } from "../golden/hf-models.ts";
import { answerRange, type RangeServer, sourceError, startRangeServer } from "./range-server.ts";

// A sharded repository of a hub, its files kept by the store as they are asked for.

const files = hfFiles("hf-llama");
const LAST_SHARD = "model-00003-of-00003.safetensors";
const SECOND_SHARD = "model-00002-of-00003.safetensors";
const FAST = { pieceBytes: 4096, pauseMs: 1, stallMs: 2000, parallel: 1, tries: 1 };

let server: RangeServer;
/** Files of ranges and pointers that were asked for, as `resolve config.json`. */
let asked: string[];
/** Requests for the second shard that are answered before its server breaks down. */
let answersLeft: number;

beforeEach(async () => {
  server = await startRangeServer();
  [asked, answersLeft] = [[], Infinity];
  server.answer = (request, response) => {
    const [, kind, name = ""] = /^\/some\/model\/(resolve|raw)\/main\/(.+)$/.exec(request.url!)!;
    asked.push(`${kind} ${name}`);
    const bytes = files.get(name);
    if (bytes === undefined) return response.writeHead(404).end();
    if (kind === "resolve") {
      const breaks = name === SECOND_SHARD && answersLeft-- <= 0;
      return answerRange(breaks ? { status: 500 } : {}, bytes)(request, response);
    }
    if (!name.endsWith(".safetensors")) return response.end(bytes);
    const oid = createHash("sha256").update(bytes).digest("hex");
    return response.end(`version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 1\n`);
  };
});
afterEach(() => server.stop());

const backend = memoryBackend();
afterEach(async () => {
  for (const folder of await backend.folders()) await backend.removeFolder(folder);
});

/** The model by a store that knows only what is on the device, as after a reload. */
async function openStored(): Promise<OpenModel> {
  const model = { repository: "some/model", endpoint: new URL(server.url).origin };
  const folder = await (await modelStore(backend)).model(model, FAST);
  return openModel({ folder: folder as ModelFolder });
}

/** Bytes of every tensor. */
async function tensorsOf({ source, file }: OpenModel): Promise<Uint8Array[]> {
  const tensors = [...file.tensors.values()];
  return Promise.all(tensors.map(({ offset, bytes }) => source.read(offset, bytes)));
}

test("goes on after a cut within a shard, is checked shard by shard, and then needs no network", async () => {
  answersLeft = 11; // the size, and ten pieces
  const error = await sourceError(openStored());
  expect(error.message).toContain(`${SECOND_SHARD}: answered 500`);
  const listed = await (await modelStore(backend)).list();
  const cut = listed.find(({ url }) => url.endsWith(SECOND_SHARD));
  expect(cut).toMatchObject({
    storedBytes: 10 * 4096,
    totalBytes: files.get(SECOND_SHARD)!.length,
  });
  expect(listed.filter(({ url }) => url.endsWith(LAST_SHARD))).toEqual([]);

  [asked, answersLeft] = [[], Infinity];
  const resumed = await openStored();
  const pieces = Math.ceil(files.get(SECOND_SHARD)!.length / 4096);
  expect(asked.filter((what) => what === `resolve ${SECOND_SHARD}`)).toHaveLength(1 + pieces - 10);
  expect(new Set(asked)).toEqual(
    new Set([`resolve ${SECOND_SHARD}`, `resolve ${LAST_SHARD}`, `raw ${LAST_SHARD}`]),
  );
  const inMemory: ModelFolder = {
    name: "in memory",
    open: async (name) => (files.has(name) ? bufferSource(files.get(name)!, name) : undefined),
  };
  const expected = await openModel({ folder: inMemory });
  expect(resumed.file.tensors).toEqual(expected.file.tensors);
  expect(await tensorsOf(resumed)).toEqual(await tensorsOf(expected));

  server.stop();
  expect(await tensorsOf(await openStored())).toEqual(await tensorsOf(expected));
  const store = await modelStore(backend);
  for (const { url } of await store.list()) expect(await store.verify(url), url).toBe(true);
});

test("a shard that isn't what its hub says is not given out", async () => {
  const sound = files.get(LAST_SHARD)!;
  const serve = server.answer;
  server.answer = (request, response) => {
    const isShard = request.url!.endsWith(`resolve/main/${LAST_SHARD}`);
    const other = sound.map((byte, i) => (i === sound.length - 1 ? byte ^ 1 : byte));
    (isShard ? answerRange({}, other) : serve)(request, response);
  };
  const error = await sourceError(openStored());
  expect(error.message).toContain(`${LAST_SHARD}: has the SHA-256`);
  const listed = await (await modelStore(backend)).list();
  expect(listed.map(({ url }) => url).filter((url) => url.endsWith(LAST_SHARD))).toEqual([]);
});
