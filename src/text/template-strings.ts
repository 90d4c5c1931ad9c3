/** How a string method sees its surroundings. */
export interface StringTools {
  /** The text as its reader would see it, of the same length (template-marks.ts). */
  reveal(text: string): string;
  /** Charges steps of work. */
  spend(steps: number): void;
  /** Throws where a text would be too long. */
  assertLength(chars: number): void;
}

/** A method of strings: its text, and its arguments by position and by name. */
export type StringMethod = (
  tools: StringTools,
  text: string,
  args: readonly unknown[],
  named: ReadonlyMap<string, unknown>,
) => string | readonly string[] | boolean;

// White space as Python's `str` methods see it; JavaScript's `trim` and \s take others. It is never marked.
const WHITE_CHARS =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
  "\u2028\u2029\u202f\u205f\u3000";
const WHITE: ReadonlySet<string> = new Set(WHITE_CHARS);
const WORD = new RegExp(`[^${WHITE_CHARS}]+`, "g");

/**
 * String methods as in Python, in place of the package's: those ignore what `strip` is given, and don't
 * check how much `replace` and `split` make. They find text as its reader sees it, and cut it as it is marked.
 */
export const STRING_METHODS: ReadonlyMap<string, StringMethod> = new Map<string, StringMethod>([
  ["strip", (tools, text, [chars], named) => strip(tools, text, chars ?? named.get("chars"), 3)],
  ["lstrip", (tools, text, [chars], named) => strip(tools, text, chars ?? named.get("chars"), 1)],
  ["rstrip", (tools, text, [chars], named) => strip(tools, text, chars ?? named.get("chars"), 2)],
  [
    "split",
    (tools, text, [separator, limit], named) =>
      split(tools, text, separator ?? named.get("sep"), limit ?? named.get("maxsplit")),
  ],
  [
    "replace",
    (tools, text, [from, to, count], named) =>
      replace(
        tools,
        text,
        from ?? named.get("old"),
        to ?? named.get("new"),
        count ?? named.get("count"),
      ),
  ],
  ["startswith", (tools, text, [prefix]) => affix(tools, text, prefix, false)],
  ["endswith", (tools, text, [suffix]) => affix(tools, text, suffix, true)],
]);

/** Filters that are such a method. */
export const STRING_FILTERS: ReadonlyMap<string, string> = new Map([
  ["trim", "strip"],
  ["replace", "replace"],
]);

/** @param sides bit 0 the left, bit 1 the right. */
function strip(tools: StringTools, text: string, chars: unknown, sides: number): string {
  const strips = chars === undefined || chars === null ? WHITE : new Set(asText(chars, "chars"));
  const seen = strips === WHITE ? text : tools.reveal(text);
  let start = 0;
  let end = seen.length;
  while (sides & 1 && start < end) {
    const char = String.fromCodePoint(seen.codePointAt(start) ?? 0);
    if (!strips.has(char)) break;
    start += char.length;
  }
  while (sides & 2 && start < end) {
    const pair = seen.slice(Math.max(start, end - 2), end);
    const char = strips.has(pair) ? pair : seen.slice(end - 1, end);
    if (!strips.has(char)) break;
    end -= char.length;
  }
  // Character by character: that costs more than copying.
  tools.spend((text.length - (end - start)) >>> 4);
  return text.slice(start, end);
}

function split(tools: StringTools, text: string, separator: unknown, limit: unknown): string[] {
  const most = asCount(limit);
  if (separator === undefined || separator === null) return splitWhite(tools, text, most);
  const starts = findAll(tools, text, asText(separator, "separator"), most);
  const length = asText(separator, "separator").length;
  const ends = [...starts, text.length];
  return ends.map((end, i) => text.slice(i === 0 ? 0 : (starts[i - 1] ?? 0) + length, end));
}

/** Splits at runs of white space, and drops it at the ends; after `most` splits the rest stays as it is. */
function splitWhite(tools: StringTools, text: string, most: number): string[] {
  const pieces: string[] = [];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    tools.spend(1);
    if (pieces.length === most) return [...pieces, text.slice(index)];
    pieces.push(word);
  }
  return pieces;
}

function replace(
  tools: StringTools,
  text: string,
  from: unknown,
  to: unknown,
  count: unknown,
): string {
  const [old, replacement] = [asText(from, "text to replace"), asText(to, "replacement")];
  const starts = findAll(tools, text, old, asCount(count));
  tools.assertLength(text.length + starts.length * (replacement.length - old.length));
  let result = "";
  let done = 0;
  for (const start of starts) {
    result += text.slice(done, start) + replacement;
    done = start + old.length;
  }
  return result + text.slice(done);
}

function affix(tools: StringTools, text: string, affixes: unknown, end: boolean): boolean {
  const options = Array.isArray(affixes)
    ? affixes.map((item: { value?: unknown }) => item.value)
    : [affixes];
  return options.some((option) => {
    const wanted = asText(option, "prefix or suffix");
    tools.spend(wanted.length >>> 8);
    const start = end ? Math.max(0, text.length - wanted.length) : 0;
    return tools.reveal(text.slice(start, start + wanted.length)) === wanted;
  });
}

/** Where a text occurs, from the left, without overlaps. */
function findAll(tools: StringTools, text: string, wanted: string, most: number): number[] {
  const seen = tools.reveal(text);
  const starts: number[] = [];
  if (wanted === "") throw new Error("empty text to look for");
  tools.spend(seen.length >>> 8);
  for (let at = seen.indexOf(wanted); at >= 0 && starts.length < most;) {
    tools.spend(1);
    starts.push(at);
    at = seen.indexOf(wanted, at + wanted.length);
  }
  return starts;
}

function asText(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new Error(`the ${what} must be a string`);
}

function asCount(value: unknown): number {
  if (value === undefined || value === null || (typeof value === "number" && value < 0))
    return Infinity;
  if (typeof value === "number") return value;
  throw new Error("a count must be a number");
}
