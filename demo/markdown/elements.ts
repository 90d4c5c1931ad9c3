import { type Attr, Token } from "streaming-markdown";
import { el } from "../dom.ts";
import { createCodeBlock } from "./code-block.ts";
import { openingOf, type TokenType } from "./delimiters.ts";
import { safeUrl, trimUrl } from "./safe-url.ts";

/** A kind of attribute, as the parser numbers them. */
export type AttributeType = (typeof Attr)[keyof typeof Attr];

/** An element that is being filled. */
export interface Frame {
  readonly token: TokenType;
  /** Where its content goes. */
  readonly element: HTMLElement;
  setAttribute?(type: AttributeType, value: string): void;
  /** Called when so many characters were added to it. */
  grew?(by: number): void;
  /** Called when it is complete; `ended` by its own delimiter. */
  close?(ended: boolean): void;
}

/** What the parser held back when an element began. */
export interface Opening {
  readonly pending: string;
  readonly backticks: number;
  /** Inside a link nothing else becomes one. */
  readonly inLink: boolean;
}

/** Make the element of a token, put it at the end of `parent`, and tell how it is filled. */
export function openElement(token: TokenType, parent: HTMLElement, opening: Opening): Frame {
  const add = (element: HTMLElement): HTMLElement => parent.appendChild(element);
  switch (token) {
    case Token.Heading_1:
    case Token.Heading_2:
    case Token.Heading_3:
    case Token.Heading_4:
    case Token.Heading_5:
    case Token.Heading_6: {
      // One level for all, so that none is skipped below the page's own headings.
      const level = token - Token.Heading_1 + 1;
      return { token, element: add(el("h3", { class: `heading-${level}` })) };
    }
    case Token.Blockquote:
      return { token, element: add(el("blockquote")) };
    case Token.Line_Break:
      return { token, element: add(el("br")) };
    case Token.Rule:
      return { token, element: add(el("hr")) };
    case Token.List_Unordered:
      return { token, element: add(el("ul")) };
    case Token.List_Ordered:
      return orderedList(parent);
    case Token.List_Item:
      return { token, element: add(el("li")) };
    case Token.Checkbox:
      return checkbox(parent);
    case Token.Italic_Ast:
    case Token.Italic_Und:
      return emphasis(token, add(el("em")), opening);
    case Token.Strong_Ast:
    case Token.Strong_Und:
      return emphasis(token, add(el("strong")), opening);
    case Token.Strike:
      return emphasis(token, add(el("s")), opening);
    case Token.Code_Inline:
      return emphasis(token, add(el("code")), opening);
    case Token.Link:
    case Token.Image:
      return link(token, parent, opening);
    case Token.Raw_URL:
      return rawUrl(add(el(opening.inLink ? "span" : "a")));
    case Token.Code_Block:
    case Token.Code_Fence: {
      const { element, code, setLanguage, grew, complete } = createCodeBlock();
      add(element);
      const setAttribute = (_: AttributeType, name: string): void => setLanguage(name);
      return { token, element: code, setAttribute, grew, close: complete };
    }
    case Token.Equation_Block: {
      const block = createCodeBlock("math");
      add(block.element);
      return { token, element: block.code };
    }
    case Token.Equation_Inline:
      return equation(add(el("code")), opening);
    case Token.Table: {
      const table = el("table");
      const attributes = { class: "table", tabindex: "0", role: "group", "aria-label": "Table" };
      add(el("div", attributes, table));
      return { token, element: table };
    }
    case Token.Table_Row:
      return { token, element: addRow(parent) };
    case Token.Table_Cell: {
      const isHead = parent.parentElement?.tagName === "THEAD";
      return { token, element: add(isHead ? el("th", { scope: "col" }) : el("td")) };
    }
    default:
      return { token, element: add(el("p")) };
  }
}

/** Emphasis and code; where nothing ends them, they were none, and what began them is text. */
function emphasis(token: TokenType, element: HTMLElement, { backticks }: Opening): Frame {
  return {
    token,
    element,
    close(ended) {
      if (ended) return;
      element.before(openingOf(token, backticks) ?? "");
      element.replaceWith(...element.childNodes);
    },
  };
}

/** Links, and images as links to them; without an address that is safe, it stays as it was written. */
function link(
  token: typeof Token.Link | typeof Token.Image,
  parent: HTMLElement,
  { inLink }: Opening,
): Frame {
  const isImage = token === Token.Image;
  const bracket = el("span", {}, isImage ? "![" : "[");
  const element = parent.appendChild(el(inLink ? "span" : "a", {}, bracket));
  let written: string | undefined;
  return {
    token,
    element,
    setAttribute(_, address) {
      written = address;
    },
    close(ended) {
      const url = written === undefined ? undefined : safeUrl(written);
      if (url !== undefined && element instanceof HTMLAnchorElement) {
        if (isImage) bracket.textContent = "Image: ";
        else bracket.remove();
        pointTo(element, url);
      } else if (written !== undefined) {
        element.append(`](${written})`);
      } else if (ended) {
        element.append("]");
      }
    },
  };
}

function rawUrl(element: HTMLElement): Frame {
  return {
    token: Token.Raw_URL,
    element,
    setAttribute(_, address) {
      const url = safeUrl(trimUrl(address));
      if (url !== undefined && element instanceof HTMLAnchorElement) pointTo(element, url);
    },
  };
}

function pointTo(element: HTMLAnchorElement, { href }: URL): void {
  element.href = href;
  element.title = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer nofollow";
}

/** Formulas are shown as they were written. */
function equation(element: HTMLElement, { pending }: Opening): Frame {
  const [opening, closing] = pending.startsWith("\\") ? ["\\(", "\\)"] : ["$", "$"];
  element.append(opening);
  return {
    token: Token.Equation_Inline,
    element,
    close(ended) {
      if (ended) element.append(closing);
    },
  };
}

function orderedList(parent: HTMLElement): Frame {
  const element = parent.appendChild(el("ol"));
  return {
    token: Token.List_Ordered,
    element,
    setAttribute(_, start) {
      const first = Number(start);
      if (Number.isInteger(first) && first < 2 ** 31) element.start = first;
    },
  };
}

function checkbox(parent: HTMLElement): Frame {
  const element = parent.appendChild(el("span", { class: "checkbox" }, "☐"));
  return {
    token: Token.Checkbox,
    element,
    setAttribute() {
      element.textContent = "☑";
    },
  };
}

/** The first row is the table's head. */
function addRow(table: HTMLElement): HTMLElement {
  const part =
    table.firstElementChild === null
      ? table.appendChild(el("thead"))
      : (table.querySelector<HTMLElement>(":scope > tbody") ?? table.appendChild(el("tbody")));
  return part.appendChild(el("tr"));
}
