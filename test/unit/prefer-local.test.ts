import { expect, test } from "vitest";
import { type ChatEngine, NEEDED_LIMITS, preferLocal } from "../../src/index.ts";

const here = { name: "here" } as unknown as ChatEngine;
const there = { name: "there" } as unknown as ChatEngine;

/** A WebGPU with one adapter, or what `requestAdapter` does otherwise. */
function gpuWith(adapter: object | null | Error): GPU {
  return {
    requestAdapter: () =>
      adapter instanceof Error ? Promise.reject(adapter) : Promise.resolve(adapter),
  } as unknown as GPU;
}

const info = { vendor: "acme", architecture: "gen-1", device: "", description: "" };
const goodAdapter = { info, limits: NEEDED_LIMITS };
const slowAdapter = { ...goodAdapter, info: { ...info, description: "llvmpipe" } };
const smallAdapter = { info, limits: { ...NEEDED_LIMITS, maxBufferSize: 1000 } };

/** Which one is taken, and whether the other was left alone. */
async function taken(gpu: GPU, allowSoftware = false): Promise<[string, string]> {
  const called: string[] = [];
  const preferred = await preferLocal({
    gpu,
    allowSoftware,
    local: () => (called.push("local"), Promise.resolve(here)),
    remote: () => (called.push("remote"), there),
  });
  expect(called).toEqual([preferred.where]);
  expect(preferred.engine).toBe(preferred.where === "local" ? here : there);
  return [preferred.where, preferred.where === "remote" ? preferred.reason.message : ""];
}

test.each<[string, object | null | Error, boolean, string, RegExp]>([
  ["a GPU", goodAdapter, false, "local", /^$/],
  ["no adapter", null, false, "remote", /no usable GPU/],
  ["an adapter that can't be asked for", new Error("blocked"), false, "remote", /no usable GPU/],
  ["limits that are too small", smallAdapter, false, "remote", /maxBufferSize = 1000/],
  ["a software adapter", slowAdapter, false, "remote", /software adapter/],
  ["a software adapter that is allowed", slowAdapter, true, "local", /^$/],
])("%s", async (_, adapter, allowSoftware, where, reason) => {
  const [went, why] = await taken(gpuWith(adapter), allowSoftware);
  expect(went).toBe(where);
  expect(why).toMatch(reason);
});

test("no WebGPU at all", async () => {
  const preferred = await preferLocal({ local: () => Promise.resolve(here), remote: () => there });
  expect(preferred.where).toBe("remote"); // Node has no navigator.gpu
});

test("neither is called when it is aborted before", async () => {
  const reason = new Error("no time");
  const never = () => expect.fail("called");
  const options = { local: never, remote: never, gpu: gpuWith(goodAdapter) };
  const early = preferLocal({ ...options, signal: AbortSignal.abort(reason) });
  await expect(early).rejects.toBe(reason);
  const stop = new AbortController();
  const late = preferLocal({ ...options, signal: stop.signal });
  stop.abort(reason);
  await expect(late).rejects.toBe(reason);
});

test("a model that can't be loaded is an error, not a reason to send words elsewhere", async () => {
  const broken = new Error("damaged file");
  const options = { local: () => Promise.reject(broken), remote: () => there };
  await expect(preferLocal({ ...options, gpu: gpuWith(goodAdapter) })).rejects.toBe(broken);
});
