import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ENDLESS, HOSTILE_MARKDOWN } from "./hostile-markdown.ts";
import { type BuiltSite, openOwnPages, openWatched, type WatchedPage } from "./site.ts";

let site: BuiltSite;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  site = await openOwnPages({ root: "test/browser/markdown-page", pages: ["index.html"] });
  watched = await openWatched(site);
  page = watched.page;
  await page.waitForFunction(() => window.markdown !== undefined);
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
});

/** Numbers in [0, 1), the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % (2 ** 31 - 1);
    return state / (2 ** 31 - 1);
  };
}

/** Pieces of a text, cut at random places, within characters too. */
function cut(text: string, seed: number): string[] {
  const random = seeded(seed);
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const piece = text.slice(at, at + 1 + Math.floor(random() * 5));
    pieces.push(piece);
    at += piece.length;
  }
  return pieces;
}

const lettersOf = (text: string): string => text.replace(/[^a-z]/g, "");

test("code in a language that is known is coloured without an element more", async () => {
  const code = `${"x = 1 # one\n".repeat(200)}print("end")`;
  const source = `\`\`\`python\n${code}\n\`\`\`\n\n\`\`\`\nif (2)\n\`\`\``;
  const painted = (): Promise<string[]> =>
    page.evaluate((text) => window.markdown.painted(text), source);
  await expect.poll(async () => (await painted()).length).toBe(402);
  expect(new Set(await painted())).toEqual(
    new Set(["code-number:1", "code-comment:# one", "code-keyword:print", 'code-string:"end"']),
  );
  expect(await page.locator("pre code *").count()).toBe(0);
});

test("hostile sources become nothing active, however they are cut", async () => {
  const requests: string[] = [];
  page.on("request", (request) => requests.push(new URL(request.url()).pathname));
  await page.evaluate(() => {
    Object.assign(globalThis, { pwned: () => document.body.setAttribute("pwned", "") });
  });
  for (const source of HOSTILE_MARKDOWN) {
    const cuts = [[source], [...source], cut(source, 1), cut(source, 2)];
    const found = await page.evaluate((all) => window.markdown.inspect(all), cuts);
    expect(found, source).toEqual({ looks: 1, faults: [] });
  }
  expect(await page.locator("body[pwned]").count()).toBe(0);
  // This request proves that one would have been seen.
  await page.evaluate(() => fetch("index.html"));
  expect(requests).toEqual(["/some/folder/index.html"]);
});

test("what never ends neither nests ever deeper nor loses a letter", async () => {
  for (const beginning of ENDLESS) {
    const source = beginning.repeat(5000);
    const found = await page.evaluate((all) => window.markdown.measure(all), cut(source, 3));
    expect(found.depth, beginning).toBeLessThan(40);
    expect(found.letters.length, beginning).toBe(lettersOf(source).length);
  }
});

/** Forty words with markup between them that mostly fits nothing. */
function scrambled(seed: number): string {
  const random = seeded(seed);
  const pick = (from: readonly string[]): string => from[Math.floor(random() * from.length)];
  const marks = "* ** _ __ ` `` ~~ [ ] ]( ) ![ $ \\( \\) ! # | > \\".split(" ");
  const breaks = [
    "\n",
    "\n\n",
    "\n# ",
    "\n- ",
    "\n1. ",
    "\n> ",
    "\n```\n",
    "\n| ",
    " | ",
    "\n    ",
  ];
  const words = Array.from(
    { length: 40 },
    () => pick(["w", "an", "ord"]) + pick(["", " ", " ", ...marks]) + pick(["", "", ...breaks]),
  );
  return words.join("");
}

test("no word is lost: half-open markup gets its characters back", async () => {
  const sources = Array.from({ length: 500 }, (_, seed) => scrambled(seed + 1));
  const shown = await page.evaluate(
    (all) => all.map((source) => window.markdown.measure([source]).letters),
    sources,
  );
  expect(sources.filter((source, i) => shown[i] !== lettersOf(source))).toEqual([]);
});

const link = (url: string): string =>
  `href="${url}" title="${url}" target="_blank" rel="noopener noreferrer nofollow"`;

test.each([
  [
    "plain *it* **bold** `code` ~~no~~",
    "<p>plain <em>it</em> <strong>bold</strong> <code>code</code> <s>no</s></p>",
  ],
  ["# One\n\nand\nbelow", '<h3 class="heading-1">One</h3><p>and<br>below</p>'],
  ["- a\n- b\n  1. c", "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>"],
  ["4 * 5 = *x, and more", "<p>4 * 5 = *x, and more</p>"],
  ["a[0] = 1", "<p>a<a><span>[</span>0]</a> = 1</p>"],
  ["[t](https://a.test/x)", `<p><a ${link("https://a.test/x")}>t</a></p>`],
  ["see https://a.test/x.", `<p>see <a ${link("https://a.test/x")}>https://a.test/x.</a></p>`],
  [
    "![alt](https://a.test/x.png)",
    `<p><a ${link("https://a.test/x.png")}><span>Image: </span>alt</a></p>`,
  ],
  ["[t](javascript:x)", "<p><a><span>[</span>t](javascript:x)</a></p>"],
  [
    "|a|b|\n|---|---|\n|1|2|",
    '<div class="table" tabindex="0" role="group" aria-label="Table"><table>' +
      '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>' +
      "<tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>",
  ],
  ["> quoted", "<blockquote><p>quoted</p></blockquote>"],
  ["a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>"],
])("%j looks as it should", async (source, html) => {
  expect(await page.evaluate((text) => window.markdown.look(text), source)).toBe(html);
});

test("a block of code holds exactly its code", async () => {
  const code = "const a = `<b>`;\n\n  // indented";
  const source = `Look:\n\n\`\`\`js\n${code}\n\`\`\`\n\nDone.`;
  expect(await page.evaluate((text) => window.markdown.code(text), source)).toEqual(["js", code]);
});

test("a piece costs what it holds: nothing that is shown is made again", async () => {
  const part = "Some *words*, and `code`.\n\n- an item\n- another\n\n```\nx = 1\n```\n\n| a |\n";
  const { early, late, removed } = await page.evaluate(
    (pieces) => window.markdown.changes(pieces),
    [...part.repeat(200).matchAll(/[^]{1,4}/g)].map(String),
  );
  expect(removed).toBe(0);
  expect(early).toBeGreaterThan(0);
  expect(late).toBeLessThanOrEqual(early);
});
