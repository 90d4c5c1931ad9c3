type Attributes = Readonly<Record<string, string | number>>;

/** Make an HTML element; children are nodes or text, never markup. */
export function html<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** Make an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Node[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** Set attributes, only where they change. */
export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    const text = String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Set an element's text only where it changes: no needless layout. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Let `parent` have `count` children, made by `make` where they are missing. */
export function fitChildren(parent: Element, count: number, make: (at: number) => Element): void {
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
  while (parent.childElementCount < count) parent.append(make(parent.childElementCount));
}

/** Write rows of text into a table's body, cell by cell; the first of a row is its heading. */
export function fillRows(body: Element, rows: readonly (readonly string[])[]): void {
  fitChildren(body, rows.length, () => document.createElement("tr"));
  rows.forEach((cells, at) => {
    const row = body.children[at] as Element;
    fitChildren(row, cells.length, (i) => (i === 0 ? html("th", { scope: "row" }) : html("td")));
    cells.forEach((text, i) => setText(row.children[i] as Element, text));
  });
}

/** A table with a caption and headings, and its empty body. */
export function table(
  caption: string,
  headings: readonly string[],
): { readonly table: HTMLTableElement; readonly body: HTMLTableSectionElement } {
  const body = html("tbody");
  const head = html("tr", {}, ...headings.map((text) => html("th", { scope: "col" }, text)));
  const made = html("table", {}, html("caption", {}, caption), html("thead", {}, head), body);
  return { table: made, body };
}

/** A chart's figures as a table for screen readers; nobody sees it, so it is never laid out. */
export function twinTable(
  caption: string,
  headings: readonly string[],
): { readonly element: HTMLElement; readonly body: HTMLTableSectionElement } {
  const { table: made, body } = table(caption, headings);
  return { element: html("div", { class: "twin" }, made), body };
}
