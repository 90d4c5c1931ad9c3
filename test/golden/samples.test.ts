import { afterAll, beforeAll, expect, test } from "vitest";
import { questionContent } from "../../demo/conversation.ts";
import { SAMPLES } from "../../demo/samples.ts";
import { DEFAULT_SETTINGS, type Settings, toCacheOptions } from "../../demo/settings.ts";
import { type FileSource, openFileSource } from "../../src/cli/file-source.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { gpu } from "../gpu.ts";

/** The chat page's samples on the model that it offers: what the first click shows has to be true. */
let engine: Engine;
let source: FileSource;

beforeAll(async () => {
  source = await openFileSource("public/models/SmolLM2-135M-Instruct-Q4_1.gguf");
  engine = await loadEngine(source, { gpu });
});

afterAll(async () => {
  await engine?.destroy();
  await source?.close();
});

const needles = SAMPLES.filter(({ question }) => question.needle !== undefined);

test.each<[string, Partial<Settings>, boolean]>([
  ["the full cache", { policy: "full" }, true],
  ["the page's own settings", {}, true],
  ["a budget that is far too small", { budget: 48 }, false],
])("a hidden number and %s", async (_, patch, finds) => {
  for (const { question } of needles) {
    await engine.setCache(
      toCacheOptions({ ...DEFAULT_SETTINGS, ...patch }, engine.config.numLayers),
    );
    const messages = [{ role: "user", content: questionContent(question) }] as const;
    const { text } = await engine.generate(messages, { maxTokens: 16 }).result;
    expect(text.includes(question.needle?.answer ?? "")).toBe(finds);
  }
});
