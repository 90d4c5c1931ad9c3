/** A token that is looked for in a text as it stands, before any merge. */
export interface SpecialToken {
  readonly id: number;
  readonly text: string;
}

const utf8 = new TextEncoder();

/** Sorts tokens longest first (in UTF-8), the order in which `splitOnTokens` has to look for them. */
export function longestFirst(tokens: readonly SpecialToken[]): SpecialToken[] {
  const bytes = (token: SpecialToken) => utf8.encode(token.text).length;
  return tokens.toSorted((a, b) => bytes(b) - bytes(a));
}

/**
 * Cuts a text at the tokens that it contains: their ids, and the texts between them, in order. As in llama.cpp a
 * longer token goes before a shorter one wherever they stand, and equal ones are found from the left.
 *
 * @param tokens longest first; empty texts are not allowed.
 */
export function splitOnTokens(
  text: string,
  tokens: readonly SpecialToken[],
): readonly (string | number)[] {
  let parts: (string | number)[] = text === "" ? [] : [text];
  for (const token of tokens) {
    if (!text.includes(token.text)) continue;
    parts = parts.flatMap((part) =>
      typeof part === "string" ? splitOnToken(part, token) : [part],
    );
  }
  return parts;
}

function splitOnToken(text: string, token: SpecialToken): (string | number)[] {
  const parts: (string | number)[] = [];
  for (const [index, piece] of text.split(token.text).entries()) {
    if (index > 0) parts.push(token.id);
    if (piece !== "") parts.push(piece);
  }
  return parts;
}
