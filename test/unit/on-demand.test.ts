import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
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

test("all parts are all that is imported anywhere but by themselves", () => {
  const source = fileURLToPath(new URL("../../src/", import.meta.url));
  /** What the files import when they are run, by the path from `src/`. */
  const imported = (isWanted: (path: string) => boolean): string[] =>
    readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !/^(cli|inline)\b/.test(path) && isWanted(path))
      .flatMap((path) => {
        const code = readFileSync(join(source, path), "utf8");
        const found = code.matchAll(/\bimport\("([^"]+)"\)/g);
        return [...found].map(([, name = ""]) => join(dirname(path), name));
      });
  const [all, shaders] = [join("engine", "all-parts.ts"), join("gpu", "shader-sources.ts")];
  const others = imported((path) => path !== all && path !== shaders);
  expect(others.length).toBeGreaterThan(5);
  expect(new Set([all, ...imported((path) => path === all)])).toEqual(new Set(others));
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
