/**
 * Finds the texts that end an answer in a stream of pieces. What might be the start of one is held
 * back until the next piece decides, so that no part of a stop text is ever emitted.
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
    const starts = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (starts.length > 0) {
      this.#found = true;
      this.#held = "";
      return text.slice(0, Math.min(...starts));
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
