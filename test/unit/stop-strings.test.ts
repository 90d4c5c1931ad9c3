import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopStrings } from "../../src/text/stop-strings.ts";

/** What comes out when a text is cut into pieces, and whether a stop text was found. */
function run(
  pieces: readonly string[],
  stops: readonly string[],
): { text: string; found: boolean } {
  const filter = new StopStrings(stops);
  let text = "";
  for (const piece of pieces) text += filter.push(piece);
  const { found } = filter;
  return { text: text + filter.flush(), found };
}

/** The text before the stop text that is complete first; of several that end together, the longest. */
function expected(text: string, stops: readonly string[]): { text: string; found: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const here = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = Math.max(...here.map((stop) => stop.length));
    if (here.length > 0) return { text: text.slice(0, end - longest), found: true };
  }
  return { text, found: false };
}

describe("stop texts", () => {
  test("are found however the text is cut, and never get out", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 4, minLength: 1 });
    const pieces = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 5 }));
    fc.assert(
      fc.property(pieces, fc.array(letters, { maxLength: 4 }), (cut, stops) => {
        expect(run(cut, stops)).toEqual(expected(cut.join(""), stops));
      }),
      { seed: 3, numRuns: 5000 },
    );
  });

  test("only what might be the beginning of one is held back", () => {
    const filter = new StopStrings(["STOP"]);
    expect(filter.push("abc")).toBe("abc");
    expect(filter.push("dS")).toBe("d");
    expect(filter.push("TO")).toBe("");
    expect(filter.push("R")).toBe("STOR");
    expect(filter.push("STOP and more")).toBe("");
    expect(filter.found).toBe(true);
    expect(filter.push("more")).toBe("");
    expect(filter.flush()).toBe("");
  });

  test("none at all let everything through", () => {
    const filter = new StopStrings([]);
    expect(filter.push("a")).toBe("a");
    expect(filter.flush()).toBe("");
    expect(filter.found).toBe(false);
  });
});
