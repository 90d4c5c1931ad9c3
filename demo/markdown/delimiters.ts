import { Token } from "streaming-markdown";

/** A kind of Markdown's elements, as the parser numbers them. */
export type TokenType = (typeof Token)[keyof typeof Token];

/** What is written to begin and to end such an element. */
const DELIMITERS: Readonly<Partial<Record<TokenType, string>>> = {
  [Token.Italic_Ast]: "*",
  [Token.Italic_Und]: "_",
  [Token.Strong_Ast]: "**",
  [Token.Strong_Und]: "__",
  [Token.Strike]: "~~",
};

/**
 * The characters that began this element and aren't shown: they come back where nothing ends it.
 * @param backticks how many began it, where it is code
 */
export function openingOf(token: TokenType, backticks: number): string | undefined {
  return token === Token.Code_Inline ? "`".repeat(backticks) : DELIMITERS[token];
}

/**
 * Whether an element of running text ends by its own delimiter, and not because its paragraph does.
 * @param pending what the parser has read and not yet used: the delimiter's beginning
 */
export function endsByDelimiter(token: TokenType, pending: string): boolean {
  switch (token) {
    case Token.Italic_Ast:
    case Token.Strong_Ast:
      return pending === "*" || pending === "**";
    case Token.Italic_Und:
    case Token.Strong_Und:
      return pending === "_" || pending === "__";
    case Token.Strike:
      return pending === "~";
    case Token.Code_Inline:
      return /^ ?`*$/.test(pending);
    case Token.Equation_Inline:
      return pending === "$" || pending === "\\";
    case Token.Link:
    case Token.Image:
      return pending === "]";
    default:
      return true;
  }
}
