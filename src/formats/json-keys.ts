import { ModelFormatError } from "../errors.ts";
import { quote } from "./quote.ts";

/** A string, or a bracket or comma, at `lastIndex`. In valid JSON nothing else tells keys from values. */
const MARK = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gsy;
const BETWEEN = /[^"{}[\],:]*/gy;

/**
 * Throws where an object of a JSON text has a key twice: `JSON.parse` would keep the last one in silence.
 *
 * @param text valid JSON: parse it first.
 * @param file for the message.
 * @throws ModelFormatError
 */
export function assertUniqueKeys(text: string, file: string): void {
  // One set for each open object, undefined for each open array.
  const open: (Set<string> | undefined)[] = [];
  let expectsKey = false;
  for (let at = 0; at < text.length;) {
    BETWEEN.lastIndex = at;
    BETWEEN.exec(text);
    MARK.lastIndex = BETWEEN.lastIndex;
    const mark = MARK.exec(text)?.[0];
    if (mark === undefined) return;
    at = MARK.lastIndex;
    const keys = open.at(-1);
    if (mark === "{") open.push(new Set());
    else if (mark === "[") open.push(undefined);
    else if (mark === "}" || mark === "]") open.pop();
    else if (expectsKey && keys !== undefined && mark.startsWith('"')) {
      const key = JSON.parse(mark) as string;
      if (keys.has(key)) {
        throw new ModelFormatError(file, `key ${quote(key)}`, "there once", "a second one");
      }
      keys.add(key);
    }
    expectsKey = mark === "{" || mark === ",";
  }
}
