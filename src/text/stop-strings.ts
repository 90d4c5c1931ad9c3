/**
 * Finds the texts that end an answer in a stream of pieces. What might be the start of one is held
 * back until the next piece decides, so that no part of a stop text is ever emitted. The one that is
 * complete first counts (of two that end together, the longer one), however the text is cut.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #found = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** A stop text has come: everything after it is dropped. */
  get found(): boolean {
    return this.#found;
  }

  /** Add a piece; returns the text that may be emitted now. */
  push(piece: string): string {
    if (this.#found) return "";
    const text = this.#held + piece;
    const ends = this.#stops
      .map((stop) => ({ start: text.indexOf(stop), length: stop.length }))
      .filter(({ start }) => start >= 0)
      .sort((a, b) => a.start + a.length - (b.start + b.length) || a.start - b.start);
    if (ends[0] !== undefined) {
      this.#found = true;
      this.#held = "";
      return text.slice(0, ends[0].start);
    }
    const held = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }

  /** The stream has ended: what was held back is text after all. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
