import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatCount, formatMiB } from "../../src/elements.ts";
import {
  longestPrompt,
  MODEL_SHAPES,
  planMemory,
  type PlanRequest,
  shapeFromConfig,
} from "../../src/profile.ts";
import { type BuiltSite, drawn, openBuiltSite, openWatched, type WatchedPage } from "./site.ts";

let site: BuiltSite;
let watched: WatchedPage;
let page: Page;

/** One page for all: each test sets the fields that it needs. */
beforeAll(async () => {
  site = await openBuiltSite();
  watched = await openWatched(site, { url: new URL("memory.html", site.url).href });
  page = watched.page;
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
});

const said = (): Promise<string> => page.locator("#plan-text").innerText();
const rows = (): Promise<string[]> => page.locator("#plan-rows tr").allInnerTexts();
const terraces = async (): Promise<(string | null)[]> => {
  await drawn(page);
  return page
    .locator("#plan-pyramid .twin tbody tr")
    .evaluateAll((all) => all.map((row) => row.children[1]!.textContent));
};

const SMOLLM2 = MODEL_SHAPES[0];
const request: PlanRequest = {
  model: SMOLLM2,
  weights: "q4",
  tokens: 4096,
  cache: { policy: "pyramidkv", budget: "512", windowSize: 8, beta: 20, kvDtype: "f16" },
};

/** The table of the page, from the plan itself. */
function tableOf(of: PlanRequest): string[] {
  return [2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072].map((tokens) => {
    const { kv, peak } = planMemory({ ...of, tokens });
    const past = tokens > of.model.contextLength ? " (past its context)" : "";
    const cells = [kv.final, kv.full, kv.full - kv.final, peak].map(formatMiB);
    return [`${formatCount(tokens)}${past}`, ...cells].join("\t");
  });
}

const tidy = (text: string): string => text.replaceAll("\u00a0", " ");

test("window, beta, dtype and prompts at once are the plan's, to the byte, from 2k to 128k", async () => {
  await page.locator("#plan-tokens").fill("4096");
  const cache = { ...request.cache, windowSize: 32, beta: 5, kvDtype: "f32" } as const;
  const changes: readonly [string, PlanRequest][] = [
    ["", request],
    ["#plan-window", { ...request, cache: { ...request.cache, windowSize: 32 } }],
    ["#plan-beta", { ...request, cache: { ...request.cache, windowSize: 32, beta: 5 } }],
    ["#plan-dtype", { ...request, cache }],
    ["#plan-sequences", { ...request, cache, sequences: 4 }],
  ];
  const values: Readonly<Record<string, string>> = {
    "#plan-window": "32",
    "#plan-beta": "5",
    "#plan-sequences": "4",
  };
  for (const [field, of] of changes) {
    if (field === "#plan-dtype") await page.locator(field).selectOption("f32");
    else if (field !== "") await page.locator(field).fill(values[field]!);
    const plan = planMemory(of);
    await expect.poll(said).toContain(formatMiB(plan.kv.final));
    expect(await said()).toContain(`instead of ${formatMiB(plan.kv.full)}`);
    expect((await rows()).map(tidy)).toEqual(tableOf(of).map(tidy));
    expect(await terraces()).toEqual(plan.layers.map(({ budget }) => formatCount(budget)));
    expect(await said()).toContain(
      `up to ${formatCount(longestPrompt(of, 2048 * 2 ** 20))} tokens`,
    );
  }
  expect(await said()).toMatch(/^4 caches of /);
  expect((await rows())[3]).toContain("16,384 (past its context)");
  await page.locator("#plan-sequences").fill("1");
});

test("what fits is told of the memory that is typed in; nothing of a field that is empty", async () => {
  await page.locator("#plan-limit").fill("128");
  await expect.poll(said).toMatch(/Prompts of up to [\d,]+ tokens fit in 128\.0\sMiB\.$/);
  await page.locator("#plan-limit").fill("1");
  await expect.poll(said).toMatch(/No prompt fits in 1\.0\sMiB\.$/);
  await page.locator("#plan-limit").fill("100000");
  await expect.poll(said).toContain("8,192 tokens, all that the model reads, fit in");
  await page.locator("#plan-limit").fill("");
  await expect.poll(said).toMatch(/Say how much memory there is/);
  expect(await said()).not.toContain("NaN");
  await page.locator("#plan-tokens").fill("9000");
  await expect.poll(said).toContain("The model reads no more than 8,192 tokens.");
});

test("an entry that is wrong is said, and no plan of another one stands beside it", async () => {
  await page.locator("#plan-tokens").fill("4096");
  for (const [field, wrong, right, words] of [
    ["#plan-tokens", "", "4096", "tokens must be a whole number"],
    ["#plan-sequences", "0", "1", "sequences must be a whole number"],
    ["#plan-budget", "a lot", "512", "budget"],
    ["#plan-window", "", "8", "windowSize"],
  ]) {
    await page.locator(field).fill(wrong);
    await expect.poll(said).toContain(words);
    expect(await page.locator("#plan-text").getAttribute("class")).toContain("problem");
    expect(await rows()).toEqual([]);
    expect(await terraces()).toEqual([]);
    await page.locator(field).fill(right);
    await expect.poll(rows).toHaveLength(7);
    expect(await page.locator("#plan-text").getAttribute("class")).not.toContain("problem");
  }
});

test("a model is planned from its config.json, and a text that is none is said", async () => {
  const config = JSON.stringify({
    model_type: "llama",
    hidden_size: 1024,
    num_hidden_layers: 6,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    intermediate_size: 4096,
    vocab_size: 32_000,
    max_position_embeddings: 32_768,
  });
  await page.getByText("Another model: paste its config.json").click();
  await page.locator("#plan-config").fill(config);
  await page.locator("#plan-beta").fill("20");
  await page.locator("#plan-dtype").selectOption("f16");
  const of = { ...request, model: shapeFromConfig(config) };
  await expect.poll(said).toContain(formatMiB(planMemory(of).kv.final));
  expect((await rows()).map(tidy)).toEqual(tableOf(of).map(tidy));
  expect(await page.locator("#plan-model option:checked").innerText()).toContain("llama");
  await page.locator("#plan-config").fill('{"hidden_size": -1}');
  await expect.poll(said).toContain("num_attention_heads");
  expect(await rows()).toEqual([]);
});

test("policies have the names of the chat page", async () => {
  for (const id of ["run-policy", "plan-policy"]) {
    const names = await page.locator(`#${id} option`).allTextContents();
    expect(names).toContain("StreamingLLM");
    expect(names).toContain("Full cache");
  }
});
