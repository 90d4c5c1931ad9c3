import { readFile } from "node:fs/promises";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTurn } from "../../demo/conversation.ts";
import { writeHistoryFile } from "../../demo/history/history-file.ts";
import { toStored } from "../../demo/history/stored-conversation.ts";
import { HOSTILE_MARKDOWN } from "./hostile-markdown.ts";
import {
  ask,
  type BuiltSite,
  lastAnswer,
  loadTiny,
  openBuiltSite,
  openWatched,
  replayRuns,
  serveTinyAsDefault,
  turnIs,
  type WatchedPage,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

const dialogOf = (page: Page): Locator => page.getByRole("dialog", { name: "Conversations" });

/** Open the list of conversations. */
async function openList(page: Page): Promise<Locator> {
  await page.getByRole("button", { name: "Conversations" }).click();
  return dialogOf(page);
}

const titles = (page: Page): Promise<string[]> =>
  dialogOf(page).locator(".history-open").allTextContents();

const questions = (page: Page): Promise<string[]> => page.locator(".question").allTextContents();

const notice = (page: Page): Locator => page.locator("#history-notice");

/** A file as it is exported, with one conversation for each list of answers. */
function exported(conversations: Readonly<Record<string, readonly string[]>>): {
  name: string;
  mimeType: string;
  buffer: Buffer;
} {
  const all = Object.entries(conversations).map(([title, answers]) => ({
    id: title,
    title,
    createdAt: 1,
    changedAt: 1,
    revision: 1,
    questions: answers.length,
    turns: answers.map((answer, i) =>
      toStored({ ...createTurn(i, { text: title, documents: [] }), answer, state: "done" }),
    ),
  }));
  return {
    name: "conversations.json",
    mimeType: "application/json",
    buffer: Buffer.from(writeHistoryFile(all)),
  };
}

describe("conversations of one browser", () => {
  let watched: WatchedPage;
  let page: Page;
  let answers: string[];

  beforeAll(async () => {
    watched = await openWatched(site, {
      ...{ replayed: true, prepare: serveTinyAsDefault },
      acceptDownloads: true,
    });
    page = watched.page;
    await loadTiny(page);
    await page.getByLabel("Longest answer").fill("6");
  });

  afterAll(() => watched?.close());

  test("survive a reload, each with its answers", async () => {
    await ask(page, "First question");
    await turnIs(page, "done");
    const first = await lastAnswer(page);
    await page.getByRole("button", { name: "New conversation" }).click();
    await ask(page, "Second question");
    await turnIs(page, "done");
    await ask(page, "And then?");
    await turnIs(page, "done");
    answers = await page.locator(".answer").allTextContents();
    const list = await openList(page);
    await expect
      .poll(() => list.locator(".caption").allTextContents())
      .toContainEqual(expect.stringMatching(/^2 questions, /));

    await page.reload();
    await expect.poll(() => questions(page)).toEqual(["Second question", "And then?"]);
    expect(await page.locator(".answer").allTextContents()).toEqual(answers);
    await openList(page);
    expect(await titles(page)).toEqual(["Second question", "First question"]);
    await list.getByRole("button", { name: "First question", exact: true }).click();
    await expect.poll(() => questions(page)).toEqual(["First question"]);
    expect(await lastAnswer(page)).toBe(first);
  });

  test("are found, renamed and deleted, and a deletion can be undone", async () => {
    const list = await openList(page);
    await list.getByRole("searchbox", { name: "Find" }).fill("SECOND");
    expect(await titles(page)).toEqual(["Second question"]);
    await list.getByRole("searchbox", { name: "Find" }).fill("");
    await list.getByRole("button", { name: "Rename First question" }).click();
    await list.getByRole("textbox", { name: "Title" }).fill("The first one");
    await page.keyboard.press("Enter");
    await expect.poll(() => titles(page)).toEqual(["Second question", "The first one"]);
    await list.getByRole("button", { name: "Delete The first one" }).click();
    await expect.poll(() => titles(page)).toEqual(["Second question"]);
    await expect.poll(() => page.locator(".turn").count()).toBe(0);
    await list.getByRole("button", { name: "Undo" }).click();
    await expect.poll(() => titles(page)).toEqual(["Second question", "The first one"]);
    await list.getByRole("button", { name: "Done" }).click();
  });

  test("by keyboard alone: found, renamed, deleted, brought back, opened", async () => {
    const focused = (): Promise<string> =>
      page.evaluate(() => {
        const element = document.activeElement;
        return element?.getAttribute("aria-label") || element?.id || (element?.textContent ?? "");
      });
    const tabTo = async (label: string): Promise<void> => {
      for (let i = 0; i < 20 && (await focused()) !== label; i++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(label);
    };
    await page.getByRole("button", { name: "Conversations" }).press("Enter");
    await tabTo("Rename The first one");
    await page.keyboard.press("Enter");
    await page.keyboard.type("The 1st");
    await page.keyboard.press("Enter");
    await expect.poll(focused).toBe("Rename The 1st");
    await tabTo("Delete The 1st");
    await page.keyboard.press("Enter");
    await expect.poll(focused).toBe("Undo");
    await page.keyboard.press("Enter");
    await expect.poll(() => titles(page)).toEqual(["Second question", "The 1st"]);
    await page.getByRole("button", { name: "Rename The 1st" }).press("Enter");
    await page.keyboard.type("The first one");
    await page.keyboard.press("Enter");
    await expect.poll(focused).toBe("Rename The first one");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await expect.poll(() => questions(page)).toEqual(["First question"]);
    await expect.poll(focused).toBe("question");
    await page.getByRole("button", { name: "Conversations" }).press("Enter");
    await page.keyboard.press("Escape");
    expect(await dialogOf(page).count()).toBe(0);
  });

  test("go into a file and come back from it", async () => {
    const list = await openList(page);
    const download = page.waitForEvent("download");
    await list.getByRole("button", { name: "Export all" }).click();
    const path = await (await download).path();
    expect((await download).suggestedFilename()).toMatch(/^ziggurat-conversations-[\d-]+\.json$/);
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({
      format: "ziggurat-conversations",
      version: 1,
      conversations: [{ title: "Second question" }, { title: "The first one" }],
    });
    const file = { name: "mine.json", mimeType: "", buffer: await readFile(path) };

    const both = ["Second question", "The first one"];
    await list.getByRole("button", { name: "Delete all" }).click();
    expect(await list.getByRole("status").textContent()).toContain("Delete all 2?");
    await list.getByRole("button", { name: "Keep them" }).click();
    expect(await titles(page)).toEqual(both);
    for (const back of ["bring them back", "import them"]) {
      await list.getByRole("button", { name: "Delete all" }).click();
      await list.getByRole("button", { name: "Delete them" }).click();
      await expect.poll(() => titles(page)).toEqual([]);
      // The way back outlasts the dialog.
      await list.getByRole("button", { name: "Undo" }).waitFor();
      await list.getByRole("button", { name: "Done" }).click();
      await openList(page);
      if (back === "import them") await page.setInputFiles("#history-file", file);
      else await list.getByRole("button", { name: "Undo" }).click();
      await expect.poll(() => titles(page)).toEqual(both);
    }
    await page.setInputFiles("#history-file", file);
    await expect
      .poll(() => list.getByRole("status").textContent())
      .toBe("0 conversations imported. 2 were here already.");
    await list.getByRole("button", { name: "Second question", exact: true }).click();
    await expect.poll(() => questions(page)).toEqual(["Second question", "And then?"]);
    expect(await page.locator(".answer").allTextContents()).toEqual(answers);
  });

  test("a file that can't be read is said, and nothing changes", async () => {
    const list = await openList(page);
    const before = await titles(page);
    await page.evaluate(() => {
      const { text } = Blob.prototype;
      Blob.prototype.text = () => {
        Blob.prototype.text = text;
        return Promise.reject(new DOMException("gone", "NotReadableError"));
      };
    });
    const file = { name: "gone.json", mimeType: "", buffer: Buffer.from("{}") };
    await page.setInputFiles("#history-file", file);
    await expect
      .poll(() => list.getByRole("alert").textContent())
      .toContain("gone.json was not imported: nothing has changed. It could not be read");
    expect(await titles(page)).toEqual(before);
    await list.getByRole("button", { name: "Done" }).click();
  });

  test.each([
    ["of another version", '{"format":"ziggurat-conversations","version":9}', "version 9"],
    ["of something else", '{"traceEvents":[]}', "holds no conversations of this page"],
    ["that broke off", '{"format":"ziggurat-conv', "The file is no JSON"],
  ])("a file %s is refused, and nothing changes", async (_, text, why) => {
    const list = await openList(page);
    const before = await titles(page);
    const file = { name: "other.json", mimeType: "", buffer: Buffer.from(text) };
    await page.setInputFiles("#history-file", file);
    await expect.poll(() => list.getByRole("alert").textContent()).toContain(why);
    expect(await list.getByRole("alert").textContent()).toContain("nothing has changed");
    expect(await titles(page)).toEqual(before);
    await list.getByRole("button", { name: "Done" }).click();
  });

  test("two tabs don't overwrite each other", async () => {
    const other = await page.context().newPage();
    await replayRuns(other);
    await serveTinyAsDefault(other);
    await other.goto(site.url);
    const list = await openList(other);
    await list.getByRole("button", { name: "The first one", exact: true }).click();
    await expect.poll(() => questions(other)).toEqual(["First question"]);
    const mine = await openList(page);
    await mine.getByRole("button", { name: "The first one", exact: true }).click();
    await expect.poll(() => questions(page)).toEqual(["First question"]);

    // Here it ends up without its question; there it goes on.
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await expect.poll(() => notice(other).textContent()).toContain("changed in another tab");
    await other.getByLabel("Longest answer").fill("2");
    await ask(other, "Going on");
    await expect.poll(() => notice(other).textContent()).toContain("kept as a copy");
    await turnIs(other, "done");

    // Both are there, in both tabs.
    await openList(page);
    await expect.poll(() => titles(page)).toContain("The first one (copy)");
    expect(await titles(page)).toContain("The first one");
    await dialogOf(page).getByRole("button", { name: "The first one (copy)", exact: true }).click();
    await expect.poll(() => questions(page)).toEqual(["First question", "Going on"]);
    await other.close();
  });

  test("keep the versions of a question and of its answer, by keyboard and after a reload", async () => {
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByLabel("Longest answer").fill("6");
    await ask(page, "In these words");
    await turnIs(page, "done");
    const first = await lastAnswer(page);
    await page.getByLabel("Longest answer").fill("9");
    await page.getByRole("button", { name: "Answer again" }).click();
    const versions = page.getByRole("group", { name: /^Version \d of \d$/ });
    const shown = (): Promise<string | null> => versions.getAttribute("aria-label");
    await expect.poll(shown).toBe("Version 2 of 2");
    await turnIs(page, "done");
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("textbox", { name: "Edit the question" }).fill("In other words");
    await page.keyboard.press("Enter");
    await expect.poll(shown).toBe("Version 3 of 3");
    await turnIs(page, "done");
    await ask(page, "And further?");
    await turnIs(page, "done");
    expect(await versions.innerText()).toMatch(/3\/3/);

    const focused = (): Promise<string | null> =>
      page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? null);
    await page.getByRole("button", { name: "Earlier version" }).press("Enter");
    await expect.poll(() => questions(page)).toEqual(["In these words"]);
    // The focus stays, so that the same key leads on, and then back.
    await expect.poll(focused).toBe("Earlier version");
    await page.keyboard.press("Enter");
    await expect.poll(shown).toBe("Version 1 of 3");
    expect(await lastAnswer(page)).toBe(first);
    await expect.poll(focused).toBe("Later version");

    await page.reload();
    await expect.poll(shown).toBe("Version 1 of 3");
    expect(await lastAnswer(page)).toBe(first);
    await page.getByRole("button", { name: "Later version" }).press("Enter");
    await expect.poll(shown).toBe("Version 2 of 3");
    await page.keyboard.press("Enter");
    await expect.poll(() => questions(page)).toEqual(["In other words", "And further?"]);
  });
});

test("a hostile conversation that is imported does nothing", async () => {
  const watched = await openWatched(site);
  const { page } = watched;
  const list = await openList(page);
  await page.setInputFiles("#history-file", exported({ "<img src=x>": HOSTILE_MARKDOWN }));
  await list.getByRole("button", { name: "<img src=x>", exact: true }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(HOSTILE_MARKDOWN.length);
  const shown = page.locator(".question, .answer, .history-list");
  const active = "script, img, iframe, style, link, form, object, embed, base, meta, svg, video";
  expect(await shown.locator(active).count()).toBe(0);
  expect(await shown.locator("[style], [onclick], [onerror], [src]").count()).toBe(0);
  await watched.close(); // which fails where anything was asked for
});

test("where storage is refused, that is said, and conversations last as long as the page", async () => {
  const watched = await openWatched(site, {
    replayed: true,
    init: () =>
      Object.defineProperty(globalThis, "indexedDB", {
        get() {
          throw new DOMException("refused", "SecurityError");
        },
      }),
  });
  const { page } = watched;
  await expect.poll(() => notice(page).textContent()).toContain("the browser refuses storage");
  await loadTiny(page);
  await page.getByLabel("Longest answer").fill("2");
  await ask(page, "Still answered");
  await turnIs(page, "done");
  await page.getByRole("button", { name: "New conversation" }).click();
  const list = await openList(page);
  await list.getByRole("button", { name: "Still answered", exact: true }).click();
  await expect.poll(() => questions(page)).toEqual(["Still answered"]);
  await watched.close();
});

test("where storage is full, conversations stay in memory, and are kept once there is room", async () => {
  const watched = await openWatched(site, {
    init: () => {
      const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (value: unknown) {
        if (document.documentElement.dataset["room"] === undefined) {
          throw new DOMException("full", "QuotaExceededError");
        }
        return put.call(this, value);
      };
    },
  });
  const { page } = watched;
  const list = await openList(page);
  await page.setInputFiles("#history-file", exported({ One: ["a"], Two: ["b"] }));
  await expect.poll(() => titles(page)).toEqual(["One", "Two"]);
  await expect.poll(() => notice(page).textContent()).toContain("the browser’s storage is full");
  await page.evaluate(() => (document.documentElement.dataset["room"] = ""));
  await list.getByRole("button", { name: "Rename One" }).click();
  await list.getByRole("textbox", { name: "Title" }).fill("Uno");
  await page.keyboard.press("Enter");
  await expect.poll(() => notice(page).textContent()).toBe("");
  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  await page.evaluate(() => (document.documentElement.dataset["room"] = ""));
  await openList(page);
  await expect.poll(() => titles(page)).toEqual(["Uno", "Two"]);
  await watched.close();
});
