import { readFileSync } from "node:fs";
import { afterAll } from "vitest";
import { bufferSource, type Engine, type LoadOptions, loadEngine } from "../../src/index.ts";
import { goldenPath } from "../golden/format.ts";
import { gpu } from "../gpu.ts";

/** A model of test/golden/data that loads in no time. */
export type TinyModel = "tiny-llama" | "tiny-qwen2" | "tiny-flow";

/** The bytes of a tiny model's file, for the caller to change. */
export function tinyFile(name: TinyModel): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(goldenPath(`${name}.gguf`)));
}

const engines: Engine[] = [];
afterAll(async () => {
  for (const engine of engines.splice(0)) await engine.destroy();
});

/** Loads a tiny model, or a file made out of one; the engine is destroyed after the file's tests. */
export async function openTiny(
  model: TinyModel | Uint8Array<ArrayBuffer>,
  options: LoadOptions = {},
): Promise<Engine> {
  const bytes = typeof model === "string" ? tinyFile(model) : model;
  const engine = await loadEngine(bufferSource(bytes, "tiny.gguf"), { gpu, ...options });
  engines.push(engine);
  return engine;
}

/** A text of so many tokens for `tiny-flow` and `tiny-llama`, whose tokenizer splits digits off. */
export function digits(count: number): string {
  return Array.from({ length: count }, (_, i) => (i * i + 7 * (i >> 3)) % 10).join("");
}

/** Puts bytes of the same length in the place of the first occurrence of a text; throws where there is none. */
export function patch(
  file: Uint8Array<ArrayBuffer>,
  text: string,
  replacement: string,
): Uint8Array<ArrayBuffer> {
  const [from, to] = [text, replacement].map((part) => Buffer.from(part));
  const at = Buffer.from(file.buffer).indexOf(from);
  if (at < 0 || from.length !== to.length) throw new Error(`cannot replace "${text}"`);
  file.set(to, at);
  return file;
}

/** Changes a metadata value of type u32. */
export function patchUint(
  file: Uint8Array<ArrayBuffer>,
  key: string,
  value: number,
): Uint8Array<ArrayBuffer> {
  const at = Buffer.from(file.buffer).indexOf(key) + key.length;
  const view = new DataView(file.buffer);
  if (at < key.length || view.getUint32(at, true) !== 4) throw new Error(`${key} is no u32`);
  view.setUint32(at + 4, value, true);
  return file;
}
