import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ModuleLoadError } from "../../src/errors.ts";
import { shaderSource } from "../../src/gpu/shader-sources.ts";
import { onDemand } from "../../src/on-demand.ts";

test("a part that cannot be loaded is named in a typed error", async () => {
  const cause = new TypeError("Failed to fetch dynamically imported module");
  const loading = onDemand("scoring", () => Promise.reject(cause));
  await expect(loading).rejects.toThrow(ModuleLoadError);
  await expect(loading).rejects.toMatchObject({ code: "module-load", part: "scoring", cause });
  await expect(loading).rejects.toThrow("for scoring could not be loaded (TypeError: Failed");
});

const folder = new URL("../../shaders/", import.meta.url);
const kernels = readdirSync(folder).filter((file) => file.endsWith(".wgsl"));

/** What a variant puts in the place of these: `shaders/shared/weights_q4.wgsl`, … */
const CHOSEN: Readonly<Record<string, readonly string[]>> = {
  weights: ["weights_q4", "weights_q8", "weights_f16"],
  kv: ["kv_f16", "kv_f32"],
};

test.each(kernels)("the group that has %s has all that it imports", async (file) => {
  const { text, shared } = await shaderSource(file.replace(".wgsl", ""));
  expect(text).toBe(readFileSync(new URL(file, folder), "utf8"));
  const follow = (code: string): void => {
    for (const [, name = ""] of code.matchAll(/^\s*#import (\w+)/gm)) {
      for (const part of CHOSEN[name] ?? [name]) {
        expect(shared, file).toHaveProperty(part);
        follow(shared[part] ?? "");
      }
    }
  };
  follow(text ?? "");
});

test("there is no text for a kernel that there is not", async () => {
  expect((await shaderSource("sample_nothing")).text).toBeUndefined();
  expect((await shaderSource("nothing")).text).toBeUndefined();
});
