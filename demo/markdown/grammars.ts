import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import { createLowlight } from "lowlight";
import type { CodeKind, CodeToken } from "./code-tokens.ts";

/** The languages that small models write; each with its usual other names (`js`, `sh`, `html`, …). */
const lowlight = createLowlight({
  ...{ bash, c, cpp, css, go, java, javascript, json, python, rust, sql, typescript, xml },
});

/** What a grammar's scopes look like; those that aren't here look as what they are in. */
const KINDS: Readonly<Record<string, CodeKind | "plain">> = {
  comment: "comment",
  quote: "comment",
  string: "string",
  regexp: "string",
  char: "string",
  number: "number",
  keyword: "keyword",
  built_in: "keyword",
  literal: "keyword",
  type: "keyword",
  meta: "keyword",
  name: "keyword",
  attribute: "keyword",
  "selector-tag": "keyword",
  // Code within a string.
  subst: "plain",
};

type Node = ReturnType<typeof lowlight.highlight>["children"][number];

/**
 * The parts of a code that have a colour, in order, none within another; none where the language isn't known.
 * @param language as it stands at the fence: `ts`, `Python`
 */
export function codeTokens(language: string, code: string): CodeToken[] {
  const name = language.toLowerCase();
  if (!lowlight.registered(name)) return [];
  const tokens: CodeToken[] = [];
  let at = 0;
  // Not by recursion: some code nests thousands of levels deep.
  const { children } = lowlight.highlight(name, code, { prefix: "" });
  const left: [Node, CodeKind | "plain"][] = children.map((node) => [node as Node, "plain"]);
  left.reverse();
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [node, kind] = next;
    if (node.type === "element") {
      const own = kindOf(node.properties) ?? kind;
      for (const child of node.children.toReversed()) left.push([child, own]);
    }
    if (node.type !== "text") continue;
    const start = at;
    at += node.value.length;
    if (kind === "plain") continue;
    const last = tokens.at(-1);
    if (last?.kind === kind && last.end === start) tokens[tokens.length - 1] = { ...last, end: at };
    else tokens.push({ kind, start, end: at });
  }
  return tokens;
}

function kindOf({ className }: Readonly<Record<string, unknown>>): CodeKind | "plain" | undefined {
  const [scope = ""] = Array.isArray(className) ? className : [];
  return KINDS[String(scope)];
}
