/**
 * Colours on text that is in the page already, by the CSS Custom Highlight API: the document stays as it
 * is, so nothing is made again, a selection holds, and no element tells what a model wrote. How each name
 * looks stands in `markdown.css`. Browsers without it show the text as it was.
 */

/** A stretch of text, and the name of the highlight that it gets. */
export type Paint = readonly [name: string, range: StaticRange];

/** What is painted, by the element in which it lies. */
const painted = new Map<Element, readonly Paint[]>();

/** Paint parts of an element, in place of what was painted in it; of elements that are gone, let go. */
export function paint(element: Element, paints: readonly Paint[]): void {
  if (!("highlights" in CSS)) return;
  for (const [other, old] of painted) {
    if (other.isConnected && other !== element) continue;
    for (const [name, range] of old) CSS.highlights.get(name)?.delete(range);
    painted.delete(other);
  }
  for (const [name, range] of paints) {
    const highlight = CSS.highlights.get(name);
    if (highlight === undefined) CSS.highlights.set(name, new Highlight(range));
    else highlight.add(range);
  }
  if (paints.length > 0) painted.set(element, paints);
}
