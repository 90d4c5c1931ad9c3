import { createMarkdownView } from "../../../demo/markdown/markdown-view.ts";

/** All that an answer may become. */
const ELEMENTS = new Set([
  ..."a blockquote br button code div em h3 hr li ol p pre s span strong".split(" "),
  ..."table tbody td th thead tr ul".split(" "),
]);
const ATTRIBUTES = new Set(
  "aria-label class href rel role scope start tabindex target title type".split(" "),
);

/** Show a source in such pieces, as an answer that streams. */
function render(pieces: readonly string[]): HTMLElement {
  const view = createMarkdownView();
  document.body.replaceChildren(view.element);
  let source = "";
  for (const piece of pieces) view.show((source += piece), false);
  view.show(source, true);
  return view.element;
}

/** What an answer should never become. */
function faultsOf(root: HTMLElement): string[] {
  const faults: string[] = [];
  for (const element of root.querySelectorAll("*")) {
    const name = element.localName;
    if (!ELEMENTS.has(name)) faults.push(`<${name}>`);
    for (const { name: attribute, value } of element.attributes) {
      if (!ATTRIBUTES.has(attribute)) faults.push(`${name} ${attribute}=${value}`);
      if (attribute === "href" && !/^https?:\/\/[^@]*$/.test(value)) faults.push(value);
    }
    if (element.matches("a[href]:not([rel~='noopener'][rel~='noreferrer'])")) {
      faults.push("a link without rel");
    }
  }
  return faults;
}

let shown = "";

/** What the test calls from outside. */
const markdown = {
  /** The same source in several cuts: how many looks that gives, and everything that must not be. */
  inspect(cuts: readonly (readonly string[])[]): { looks: number; faults: string[] } {
    const roots = cuts.map(render);
    return {
      looks: new Set(roots.map((root) => root.innerHTML)).size,
      faults: roots.flatMap(faultsOf),
    };
  },

  /** Levels of the deepest element; small letters that can be read, labels of ours left out. */
  measure(pieces: readonly string[]): { depth: number; letters: string } {
    const root = render(pieces);
    const depthOf = (element: Element): number =>
      1 + Math.max(0, ...[...element.children].map(depthOf));
    const depth = depthOf(root);
    for (const head of root.querySelectorAll(".code-head")) head.remove();
    return { depth, letters: root.textContent.replace(/[^a-z]/g, "") };
  },

  look: (source: string): string => render([source]).innerHTML,

  /** The most changes of the document that a piece made, early and late; and what was taken out again. */
  changes(pieces: readonly string[]): { early: number; late: number; removed: number } {
    const view = createMarkdownView();
    document.body.replaceChildren(view.element);
    const observer = new MutationObserver(() => {});
    observer.observe(view.element, { subtree: true, childList: true, characterData: true });
    let source = "";
    const records = pieces.map((piece) => {
      view.show((source += piece), false);
      return observer.takeRecords();
    });
    const most = (some: readonly MutationRecord[][]): number =>
      Math.max(...some.map(({ length }) => length));
    return {
      early: most(records.slice(0, 300)),
      late: most(records.slice(-300)),
      removed: records.flat().reduce((sum, { removedNodes }) => sum + removedNodes.length, 0),
    };
  },

  /** What of a source is painted in the page by now, as `name:text`, in the order of the names. */
  painted(source: string): string[] {
    if (shown !== source) render([(shown = source)]);
    return [...CSS.highlights].flatMap(([name, highlight]) =>
      [...highlight].map((range) => {
        const live = document.createRange();
        live.setStart(range.startContainer, range.startOffset);
        live.setEnd(range.endContainer, range.endOffset);
        return `${name}:${live.toString()}`;
      }),
    );
  },

  /** The code of the first block, and its language. */
  code(source: string): (string | undefined)[] {
    const root = render([source]);
    return [".code-language", "pre"].map((part) => root.querySelector(part)?.textContent);
  },
};

declare global {
  interface Window {
    markdown: typeof markdown;
  }
}
window.markdown = markdown;
