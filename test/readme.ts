import { readFileSync } from "node:fs";

/** A piece of code that the README shows. */
export interface Snippet {
  /** The heading that it stands under. */
  readonly heading: string;
  readonly language: string;
  readonly code: string;
}

/** Every fenced block of the README of the project, in order. */
export function readmeSnippets(): Snippet[] {
  const text = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const snippets: Snippet[] = [];
  let heading = "";
  for (const match of text.matchAll(/^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
    const [, title, language = "", code] = match;
    if (title !== undefined) heading = title;
    if (code !== undefined) snippets.push({ heading, language, code });
  }
  return snippets;
}

/** Those that apps copy: each is a whole module. */
export function typescriptSnippets(): Snippet[] {
  return readmeSnippets().filter(({ language }) => language === "ts");
}
