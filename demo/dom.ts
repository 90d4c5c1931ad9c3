/** A child of an element: a node, or text (never markup). */
export type Child = Node | string;

/** Attributes by name; `true` is an attribute without a value, `false` leaves it out. */
export type Attributes = Readonly<Record<string, string | boolean>>;

/** Make an HTML element. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
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
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** Make a button that does `onClick`. */
export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const element = el("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", onClick);
  return element;
}

/** A row of a table, headed by its first cell. */
export function tableRow(head: Child, ...cells: readonly Child[]): HTMLTableRowElement {
  const data = cells.map((cell) => el("td", {}, cell));
  return el("tr", {}, el("th", { scope: "row" }, head), ...data);
}

/** An icon of the sprite in the page, hidden from screen readers: words stand beside it. */
export function icon(name: "warning" | "error"): SVGSVGElement {
  return svg(
    "svg",
    { class: `icon icon-${name}`, "aria-hidden": "true" },
    svg("use", { href: `#icon-${name}` }),
  );
}

/** The element with this id; it is in the page from the start. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

/** Set an element's text only where it changes: no needless layout, nothing announced twice. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Show or hide without a layout rule of its own. */
export function setHidden(element: HTMLElement, hidden: boolean): void {
  if (element.hidden !== hidden) element.hidden = hidden;
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
}
