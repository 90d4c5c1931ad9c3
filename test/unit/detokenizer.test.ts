import fc from "fast-check";
import { expect, test } from "vitest";
import { StreamingDetokenizer, spellTokens } from "../../src/text/detokenizer.ts";

/** A tokenizer whose tokens are the given bytes. */
function detokenizer(tokens: readonly Uint8Array[]): StreamingDetokenizer {
  return new StreamingDetokenizer({ tokenBytes: (id) => tokens[id] });
}

function decodeAll(tokens: readonly Uint8Array[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(tokens));
}

/** Bytes that are often almost UTF-8: pieces of characters, and some noise. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 4 }),
  fc.string({ unit: "grapheme", maxLength: 3 }).map((text) => new TextEncoder().encode(text)),
  fc.constantFrom(
    Uint8Array.of(0xf0, 0x9f),
    Uint8Array.of(0x98, 0x80),
    Uint8Array.of(0xed, 0xa0, 0x80),
    Uint8Array.of(0xe0, 0x80),
    Uint8Array.of(0xef, 0xbb, 0xbf),
    Uint8Array.of(0xc0, 0xaf),
    new Uint8Array(),
  ),
);

test("pieces join to what all bytes decode to at once", () => {
  const property = fc.property(fc.array(bytes, { maxLength: 40 }), (tokens) => {
    const stream = detokenizer(tokens);
    const text = tokens.map((_, id) => stream.push(id)).join("") + stream.flush();
    expect(text).toBe(decodeAll(tokens));
  });
  fc.assert(property, { numRuns: 2000, seed: 20241 });
});

test("no piece holds half a character", () => {
  const text = "né 👩‍👩‍👧 日本 🏴󠁧󠁢󠁥󠁮󠁧󠁿!";
  const tokens = Array.from(new TextEncoder().encode(text), (byte) => Uint8Array.of(byte));
  const stream = detokenizer(tokens);
  const pieces = tokens.map((_, id) => stream.push(id));
  expect(pieces.join("")).toBe(text);
  expect(pieces.filter((piece) => piece !== "")).toEqual([...text]);
  expect(stream.flush()).toBe("");
});

test("a character left incomplete comes out when the text ends, and not in the next", () => {
  const stream = detokenizer([Uint8Array.of(0x41, 0xe2, 0x82), Uint8Array.of(0xac)]);
  expect(stream.push(0)).toBe("A");
  expect(stream.flush()).toBe("\ufffd");
  expect(stream.push(1)).toBe("\ufffd");
});

test("tokens one by one: a split character comes with its last token, control tokens as spelled", () => {
  const parts = [..."aé"].flatMap((c) => [...new TextEncoder().encode(c)]);
  const tokenizer = {
    tokenBytes: (id: number) => (id < 3 ? Uint8Array.of(parts[id]) : new Uint8Array()),
    isControl: (id: number) => id === 3,
    spelling: () => "<|end|>",
  };
  expect(spellTokens(tokenizer, [0, 1, 2, 3, 0])).toEqual(["a", "", "é", "<|end|>", "a"]);
});
