import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ask,
  type BuiltSite,
  lastAnswer,
  loadTiny,
  openBuiltSite,
  openWatched,
  serveTinyAsDefault,
  tinyModelPath,
  turnIs,
  type WatchedPage,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

test("keyboard alone: load, ask, stop, ask again", async () => {
  const watched = await openWatched(site, { replayed: true, prepare: serveTinyAsDefault });
  const { page } = watched;
  const focused = (): Promise<string> =>
    page.evaluate(() => document.activeElement?.id || (document.activeElement?.textContent ?? ""));
  const load = page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" });
  await load.waitFor();
  for (let i = 0; i < 5 && !(await focused()).startsWith("Load "); i++) {
    await page.keyboard.press("Tab");
  }
  expect(await focused()).toContain("Load SmolLM2");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();

  await page.getByRole("textbox", { name: "Your question" }).focus();
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await turnIs(page, "writing");
  expect(await focused()).toBe("question");
  await page.keyboard.press("Escape");
  await turnIs(page, "stopped");
  expect(await page.locator(".question").textContent()).toBe("one\ntwo");
  const kept = await lastAnswer(page);
  expect(kept.length).toBeGreaterThan(0);

  const read = (): Promise<string> => page.locator(".turn:last-child .figure-read dd").innerText();
  const firstRead = Number.parseInt(await read(), 10);
  await page.keyboard.type("three");
  await page.keyboard.press("Enter");
  await turnIs(page, "writing");
  // The whole conversation went with it, the stopped answer included.
  expect(Number.parseInt(await read(), 10)).toBeGreaterThan(firstRead + kept.length / 8);
  await page.keyboard.press("Escape");
  await turnIs(page, "stopped");
  expect(await page.locator(".answer").first().textContent()).toBe(kept);

  // Back from the question to what can be done with the last answer.
  const reach = async (label: string): Promise<void> => {
    for (let i = 0; i < 30 && (await focused()) !== label; i++) {
      await page.keyboard.press("Shift+Tab");
    }
    expect(await focused()).toBe(label);
  };
  await reach("Answer again");
  await page.keyboard.press("Enter");
  await turnIs(page, "writing");
  await page.keyboard.press("Escape");
  await turnIs(page, "stopped");
  await reach("Delete");
  await page.keyboard.press("Enter");
  await expect.poll(() => page.locator(".turn").count()).toBe(1);
  await watched.close();
});

test("Enter that belongs to an input method sends nothing", async () => {
  const watched = await openWatched(site);
  const { page } = watched;
  const question = page.getByRole("textbox", { name: "Your question" });
  await question.fill("こんにち");
  await question.dispatchEvent("keydown", { key: "Enter", isComposing: true });
  await question.dispatchEvent("keydown", { key: "Enter", keyCode: 229 });
  expect(await page.locator(".turn").count()).toBe(0);
  expect(await question.inputValue()).toBe("こんにち");
  await watched.close();
});

test("a question asked before there is a model loads it and is then answered", async () => {
  const watched = await openWatched(site, { replayed: true, prepare: serveTinyAsDefault });
  const { page } = watched;
  await page.getByRole("button", { name: /^Load / }).waitFor();
  await page.getByLabel("Longest answer").fill("24");
  await ask(page, "Hello");
  await turnIs(page, "done");
  expect(await page.locator(".figure-wrote dd").innerText()).toMatch(
    /^24\stokens · [\d.,]+\stokens\/s$/,
  );
  expect(await page.locator(".figure-first dd").innerText()).toMatch(/^[\d.]+\ss$/);
  expect(await page.locator(".turn-status").textContent()).toContain("longest answer");
  await watched.close();
});

describe("with a model loaded", () => {
  let watched: WatchedPage;
  let page: Page;

  beforeAll(async () => {
    watched = await openWatched(site, { replayed: true });
    page = watched.page;
    await loadTiny(page);
  });

  afterAll(() => watched?.close());

  test("a new conversation puts the old one aside, and brings it back", async () => {
    await page.getByLabel("Longest answer").fill("4");
    for (const question of ["Hello", "And then?"]) {
      await ask(page, question);
      await turnIs(page, "done");
    }
    const answers = await page.locator(".answer").allTextContents();
    await page.getByRole("button", { name: "New conversation" }).click();
    await expect.poll(() => page.locator(".turn").count()).toBe(0);
    await page.getByRole("button", { name: "Bring it back" }).click();
    await turnIs(page, "done");
    expect(await page.locator(".answer").allTextContents()).toEqual(answers);
  });

  test("a control that goes gives the focus to where the keyboard goes on", async () => {
    await page.getByLabel("Longest answer").fill("4");
    const press = async (name: string): Promise<void> => {
      await page.getByRole("button", { name }).last().press("Enter");
      await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("question");
    };
    const steps = [
      ...["Answer again", "Continue", "Compare with the full cache"],
      ...["Delete", "Undo", "New conversation", "Bring it back"],
    ];
    for (const name of steps) {
      await press(name);
      await expect.poll(() => page.getByRole("button", { name: "Stop" }).isVisible()).toBe(false);
    }
    await turnIs(page, "done");
    await page.getByRole("button", { name: "Change the model" }).press("Enter");
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.textContent))
      .toContain("Load SmolLM2");
    await page.setInputFiles("#file", tinyModelPath);
    await page.getByRole("button", { name: "Answer again" }).waitFor();
  });

  test("a question that is being changed keeps its words while an answer is made", async () => {
    await page.getByLabel("Longest answer").fill("");
    await page.getByRole("button", { name: "Edit" }).first().click();
    const editor = page.getByRole("textbox", { name: "Edit the question" });
    await editor.fill("Other words");
    await ask(page, "One more");
    await turnIs(page, "writing");
    await editor.press("Enter");
    await page.getByText("Not sent yet: an answer is being made.").waitFor();
    expect(await editor.inputValue()).toBe("Other words");
    await page.getByRole("button", { name: "Stop" }).click();
    await turnIs(page, "stopped");
    await page.getByLabel("Longest answer").fill("2");
    await editor.press("Enter");
    await expect.poll(() => page.locator(".question").allTextContents()).toEqual(["Other words"]);
    await turnIs(page, "done");
  });

  test("markup in a question stays text; screen readers hear the answer by sentences, not by tokens", async () => {
    await page.getByLabel("Longest answer").fill("2");
    const hostile = '<img src="https://elsewhere.test/x.png" onerror="alert(1)"><b>bold</b>';
    await ask(page, hostile);
    await turnIs(page, "done");
    expect(await page.locator(".question").last().textContent()).toBe(hostile);
    expect(await page.locator(".question *, #log :is(img, b, script)").count()).toBe(0);
    expect(await page.getByRole("meter").count()).toBeGreaterThan(0);
    const log = page.getByRole("log", { name: "Conversation" });
    expect(await log.getAttribute("aria-live")).toBe("off");
    expect(await log.locator(".answer").last().getAttribute("aria-busy")).toBe("false");
    await expect
      .poll(() => page.locator("#announcer").textContent())
      .toMatch(/^Answer complete, 2/);

    const heard = page.getByRole("log", { name: "Answer, sentence by sentence" });
    expect(await heard.getAttribute("aria-live")).toBe("polite");
    await page.getByLabel("Longest answer").fill("35");
    await heard.evaluate((region) => {
      const said: string[] = [];
      Object.assign(globalThis, { said });
      new MutationObserver((records) => {
        for (const { addedNodes } of records) {
          for (const node of addedNodes) said.push(node.textContent ?? "");
        }
      }).observe(region, { subtree: true, childList: true, characterData: true });
    });
    await page.getByRole("button", { name: "Answer again" }).click();
    await turnIs(page, "done");
    await expect
      .poll(() => page.evaluate(() => (globalThis as unknown as { said: string[] }).said))
      .toEqual([
        "What a terrace keeps",
        "A layer keeps the rows that the window looks at, and evicts the rest.",
        "1. Read the document, layer by layer.",
        "2. Rank its tokens.",
        expect.stringMatching(/^3. Keep/),
      ]);
  });

  test("who reads back isn't pulled away from there, and can jump to the end", async () => {
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByLabel("Longest answer").fill("");
    await ask(page, "One line.\n".repeat(80));
    await turnIs(page, "writing");
    const thread = page.locator("#thread");
    const toEnd = (): Promise<number> =>
      thread.evaluate((box) => box.scrollHeight - box.clientHeight - box.scrollTop);
    const jump = page.getByRole("button", { name: "Jump to the end" });
    await expect.poll(toEnd).toBeLessThan(48);
    expect(await jump.isVisible()).toBe(false);
    await thread.evaluate((box) => (box.scrollTop = 0));
    await jump.waitFor();
    const { length } = await lastAnswer(page);
    await expect.poll(async () => (await lastAnswer(page)).length).toBeGreaterThan(length + 200);
    expect(await thread.evaluate((box) => box.scrollTop)).toBe(0);
    await jump.click();
    await expect.poll(toEnd).toBeLessThan(48);
    expect(await jump.isVisible()).toBe(false);
    await page.getByRole("button", { name: "Stop" }).click();
    await turnIs(page, "stopped");
  });

  test("a long prompt shows how far it is read, and can be stopped there", async () => {
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByLabel("Longest answer").fill("");
    await ask(page, "The terraces rise. ".repeat(1500));
    const read = page.locator(".figure-read dd");
    await expect.poll(() => read.innerText()).toMatch(/^[\d,]+ of [\d,]+\stokens/);
    await expect.poll(() => read.innerText()).toMatch(/[\d.]+\stokens\/s · .+ left$/);
    expect(await page.getByRole("progressbar", { name: "Reading" }).isVisible()).toBe(true);
    await page.getByRole("button", { name: "Stop" }).click();
    await turnIs(page, "stopped");
    expect(await page.locator(".turn-status").textContent()).toBe("Stopped before the first word.");

    await page.getByRole("button", { name: "Answer again" }).click();
    await turnIs(page, "writing");
    await page.keyboard.press("Escape");
    await turnIs(page, "stopped");
    expect((await lastAnswer(page)).length).toBeGreaterThan(0);
  });
});

test("settings by keyboard: in the address but for the system prompt, and a link to share", async () => {
  const watched = await openWatched(site, {
    permissions: ["clipboard-read", "clipboard-write"],
    colorScheme: "light",
  });
  const { page } = watched;
  const paper = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.getByRole("button", { name: "Settings" }).press("Enter");
  for (const [label, value] of [
    ["Temperature (0: always the best token)", "0.7"],
    ["Top k (0: off)", "40"],
    ["Seed", "7"],
    ["System prompt", "You are brief."],
  ] as const) {
    await page.getByLabel(label).fill(value);
  }
  await page.getByLabel("Top p (1: off)").fill("3");
  await page.getByLabel("Theme").selectOption("dark");
  expect(await paper()).not.toBe(light);
  await page.getByRole("button", { name: "Copy a link with these settings" }).click();
  await page.getByText("Copied.").waitFor();
  const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
  // What is out of range is refused, and the rest is taken.
  expect(Object.fromEntries(link.searchParams)).toEqual({
    temperature: "0.7",
    topK: "40",
    seed: "7",
  });
  await page.keyboard.press("Escape");
  expect(await page.getByRole("dialog").count()).toBe(0);
  await page.reload();
  await page.getByRole("button", { name: "Settings" }).click();
  expect(await page.getByLabel("Seed").inputValue()).toBe("7");
  expect(await page.getByLabel("Theme").inputValue()).toBe("dark");
  await watched.close();
});

test("fits 320 pixels in every state, holds still where motion is unwanted", async () => {
  const watched = await openWatched(site, {
    replayed: true,
    viewport: { width: 320, height: 640 },
    reducedMotion: "reduce",
    url: `${site.url}?budget=48`,
  });
  const { page } = watched;
  const expectFit = async (): Promise<void> => {
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    // Nothing that a user reads or presses is cut off at the right, scrolling boxes apart.
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll("button, p, td, dd, label, input, select, h2, h3")]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }))
        .filter((element) => element.getBoundingClientRect().right > 320.5)
        .map((element) => element.outerHTML.slice(0, 80)),
    );
    expect(cut).toEqual([]);
  };
  await page.getByRole("button", { name: /^Load / }).waitFor();
  await expectFit();
  await page.getByRole("button", { name: "Settings" }).click();
  await expectFit();
  await page.keyboard.press("Escape");
  await loadTiny(page);
  await expectFit();
  await ask(page, `What is ${"averyveryverylongword".repeat(5)}? ${"Say so. ".repeat(40)}`);
  await turnIs(page, "writing");
  await expectFit();
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  const still = await page.evaluate(() => {
    const bar = document.querySelector("zig-pyramid")?.shadowRoot?.querySelector(".kept");
    return bar ? getComputedStyle(bar).transitionDuration : "";
  });
  expect(still).toBe("0s");
  await page.getByRole("button", { name: "Stop" }).click();
  await turnIs(page, "stopped");
  await expectFit();
  await page.getByLabel("Longest answer").fill("4");
  await page.getByRole("button", { name: "Answer again" }).click();
  await turnIs(page, "done");
  await page.getByRole("button", { name: "Show what the cache kept" }).click();
  await page.locator("zig-tokens").waitFor();
  await expectFit();
  await page.getByRole("button", { name: "Compare with the full cache" }).click();
  await expect
    .poll(() => page.getByRole("region", { name: "Compared" }).getByRole("status").innerText())
    .toMatch(/^(The same|They differ|Both)/);
  await expectFit();
  await page.setInputFiles("#file", {
    name: "notes.gguf",
    mimeType: "",
    buffer: Buffer.from("just some notes".repeat(9)),
  });
  await page.getByRole("alert").waitFor();
  await expectFit();

  const meter = page.getByRole("button", { name: /^KV / });
  const panel = page.getByRole("complementary", { name: "Model and GPU memory" });
  expect(await panel.isVisible()).toBe(false);
  await meter.click();
  expect(await panel.isVisible()).toBe(true);
  await expectFit();
  await page.keyboard.press("Escape");
  expect(await panel.isVisible()).toBe(false);
  expect(await meter.getAttribute("aria-expanded")).toBe("false");
  await watched.close();
});
