import { parser, parser_end, parser_write, type Renderer, Token } from "streaming-markdown";
import { el } from "../dom.ts";
import { endsByDelimiter } from "./delimiters.ts";
import { type Frame, openElement } from "./elements.ts";

/** Text nodes are begun anew at this length: appending to one copies it. */
const TEXT_NODE_LENGTH = 1024;

/** Deepest nesting; the parser keeps 24 levels and forgets those below. */
const MAX_DEPTH = 20;

/** Most characters that may be held back until it shows what they are. */
const MAX_PENDING = 4096;

/** Shows Markdown that grows. */
export interface MarkdownView {
  readonly element: HTMLElement;
  /**
   * Show a source; what it begins with and is shown already is left alone, so that each new piece costs
   * what it holds, however much there is before it.
   * @param isComplete nothing follows for now
   */
  show(source: string, isComplete: boolean): void;
  /** Put a node of the page's own where what follows will begin. */
  place(node: Node): void;
  /** Show nothing, to begin with another source. */
  clear(): void;
}

/**
 * Make a view. It makes elements of a fixed list and text nodes, never markup: HTML in the source is
 * text, of addresses only http and https become links, images become links to them, nothing is fetched.
 * Emphasis, code and links that are begun and never ended get their characters back. The same source
 * looks the same however it was cut into pieces.
 */
export function createMarkdownView(): MarkdownView {
  const element = el("div", { class: "markdown" });
  let writer = createWriter(element);
  let shown = 0;
  let isEnded = false;

  const clear = (): void => {
    element.replaceChildren();
    writer = createWriter(element);
    shown = 0;
    isEnded = false;
  };

  return {
    element,
    show(source, isComplete) {
      if (isEnded && source.length > shown) clear();
      if (source.length > shown) writer.write(source.slice(shown));
      shown = source.length;
      if (isComplete && !isEnded) writer.end();
      isEnded = isComplete;
    },
    place: (node) => writer.place(node),
    clear,
  };
}

interface Writer {
  write(text: string): void;
  place(node: Node): void;
  end(): void;
}

function createWriter(root: HTMLElement): Writer {
  const rootFrame: Frame = { token: Token.Document, element: root };
  const frames: Frame[] = [];
  /** Text that isn't in the document yet. */
  let held = "";
  /** Where everything goes as it is, once the source was too much for the parser. */
  let rest: HTMLElement | undefined;

  const top = (): Frame => frames.at(-1) ?? rootFrame;

  const renderer: Renderer<undefined> = {
    data: undefined,
    add_token(_, token) {
      flush();
      const { pending, fence_start: backticks } = state;
      const inLink = frames.some((frame) => frame.element instanceof HTMLAnchorElement);
      frames.push(openElement(token, top().element, { pending, backticks, inLink }));
    },
    end_token() {
      flush();
      const { token } = top();
      frames.pop()?.close?.(endsByDelimiter(token, state.pending));
    },
    add_text(_, text) {
      held += text;
    },
    set_attr(_, type, value) {
      top().setAttribute?.(type, value);
    },
  };
  const state = parser(renderer);

  return {
    write(text) {
      // One by one, so that what is shown doesn't depend on how the text was cut.
      for (const character of text) {
        if (rest !== undefined) {
          held += character;
          continue;
        }
        parser_write(state, character);
        if (frames.length > MAX_DEPTH || state.pending.length > MAX_PENDING) giveUp();
      }
      flush();
    },
    place(node) {
      (rest ?? top().element).append(node);
    },
    end() {
      if (rest !== undefined) return;
      parser_end(state);
      // An address that was never ended.
      if (frames.length > 0) held += state.pending.trimEnd();
      while (frames.length > 0) {
        flush();
        frames.pop()?.close?.(false);
      }
      flush();
    },
  };

  function flush(): void {
    if (held === "") return;
    const target = rest ?? top().element;
    const last = target.lastChild;
    if (last instanceof Text && last.length < TEXT_NODE_LENGTH) last.appendData(held);
    else target.append(held);
    if (rest === undefined) top().grew?.(held.length);
    held = "";
  }

  /** What the parser holds back, and all that follows, is shown as it is written. */
  function giveUp(): void {
    flush();
    rest = root.appendChild(el("p", { class: "as-written" }));
    // Of an address in running text everything is shown already.
    held = state.token === Token.Raw_URL ? "" : state.pending;
  }
}
