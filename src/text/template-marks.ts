import { templateError } from "./template-errors.ts";

/**
 * Tells what a chat template wrote from what a message brought, in one rendered string.
 *
 * Every punctuation character that occurs in a control token ("<", "|", ">" of "<|im_end|>") is swapped, in all that
 * the template itself writes, for a noncharacter of its own; messages stay as they are. Control tokens are then looked
 * for in their swapped spelling only, and the swap is undone in the text between them.
 *
 * The invariant: a control token is found only where the template wrote all its punctuation. No message has any of the
 * noncharacters (those that do have some get them set aside, as other characters that occur nowhere), so neither a
 * message, nor a joint of a message and the template, nor what a template cuts out of a message can be taken for one.
 * Swaps are one to one in UTF-16 units and never touch letters, digits and white space, and comparisons undo them, so
 * templates that trim, slice, measure or compare do what they always do.
 */
export interface Marks {
  /** Swaps the punctuation of control tokens in a text that the template writes. */
  hide(text: string): string;
  /** Prepares messages; gives nothing where they leave no character to set a noncharacter of theirs aside as. */
  setAside(messages: readonly string[]): Aside | undefined;
}

/** Messages without the noncharacters that are in use. */
export interface Aside {
  readonly messages: readonly string[];
  /** Undoes the swaps in a text, and brings back what was set aside. */
  reveal(text: string): string;
}

/** Characters that stand for others: noncharacters, which text has no use for, then private-use ones. */
const STAND_INS: readonly string[] = [...charRange(0xfdd0, 0xfdef), ...charRange(0xe000, 0xf8ff)];

/** Swapped characters; control tokens have about ten. */
const MAX_SWAPS = 64;

function charRange(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => String.fromCharCode(first + i));
}

/**
 * Chooses the swaps for a template.
 * @param controlTexts the control tokens; one without punctuation can't be told from text, so it isn't looked for.
 * @param templateTexts all texts of the template: no stand-in may occur in them.
 */
export function createMarks(
  controlTexts: readonly string[],
  templateTexts: readonly string[],
): Marks {
  // Quotes and backslashes stay, because `tojson` has to see them.
  const punctuation = controlTexts.join("").match(/[^\p{L}\p{M}\p{N}\p{White_Space}"\\]/gu) ?? [];
  const swapped = [...new Set(punctuation)].filter((c) => c.length === 1).slice(0, MAX_SWAPS);
  const own = [...controlTexts, ...templateTexts];
  const swaps = pair(swapped, own);
  if (swaps === undefined) throw templateError("uses every private-use character");
  const standIns = [...swaps.values()];

  const setAside = (messages: readonly string[]): Aside | undefined => {
    const clashes = new Set(messages.join("").match(anyOf(standIns)) ?? []);
    if (clashes.size === 0) return { messages, reveal: translator(inverse(swaps)) };
    const aside = pair([...clashes], [...own, ...standIns, ...messages]);
    if (aside === undefined) return undefined;
    const reveal = translator(new Map([...inverse(swaps), ...inverse(aside)]));
    return { messages: messages.map(translator(aside)), reveal };
  };

  return { hide: translator(swaps), setAside };
}

/** Gives each character a stand-in that occurs in none of the texts; nothing where there are too few. */
function pair(chars: readonly string[], texts: readonly string[]): Map<string, string> | undefined {
  const used = new Set(texts.join(""));
  const free = STAND_INS.filter((char) => !used.has(char));
  if (free.length < chars.length) return undefined;
  return new Map(chars.map((char, i) => [char, free[i] ?? ""]));
}

function inverse(map: ReadonlyMap<string, string>): Map<string, string> {
  return new Map(Array.from(map, ([from, to]) => [to, from]));
}

/** Replaces characters by a table, all at once. */
function translator(table: ReadonlyMap<string, string>): (text: string) => string {
  const pattern = anyOf([...table.keys()]);
  return (text) => text.replace(pattern, (char) => table.get(char) ?? char);
}

/** A pattern for any of some UTF-16 units; `[]` matches nothing. */
function anyOf(units: readonly string[]): RegExp {
  const escapes = units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return new RegExp(`[${escapes.join("")}]`, "g");
}
