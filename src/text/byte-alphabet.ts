/**
 * The byte alphabet of GPT-2: one printable character for each byte, in which byte-level vocabularies spell their
 * tokens. Bytes that print in Latin-1 stand for themselves, the others for U+0100 and up, in order.
 */
const CHAR_OF_BYTE: readonly string[] = /* @__PURE__ */ buildAlphabet();
const BYTE_OF_CHAR: ReadonlyMap<string, number> = new Map(CHAR_OF_BYTE.map((c, byte) => [c, byte]));

const utf8 = new TextEncoder();

function buildAlphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(prints ? byte : next++);
  });
}

/** Spells the UTF-8 bytes of a text in the byte alphabet; a lone surrogate counts as U+FFFD. */
export function toByteAlphabet(text: string): string {
  let spelled = "";
  for (const byte of utf8.encode(text)) spelled += CHAR_OF_BYTE[byte];
  return spelled;
}

/** The bytes that a token spells; a character outside the alphabet stands for its own UTF-8 bytes. */
export function fromByteAlphabet(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTE_OF_CHAR.get(char);
    if (byte === undefined) bytes.push(...utf8.encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
