/** A queue with one reader, who waits while it is empty. */
export class Inbox<T> {
  readonly #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  push(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  /** What is in it can still be taken; after that, and for whoever waits, there is the error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  async next(): Promise<T> {
    while (this.#items.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#items.shift() as T;
  }
}
