import type { AnswerResult, GenerateResult, Generation, Piece } from "./generate-types.ts";

/** Makes an answer out of what produces it: iterated by the caller, or drained for its result. */
export class GenerationStream<R extends AnswerResult = GenerateResult> implements Generation<R> {
  readonly #pieces: AsyncGenerator<Piece, R>;
  readonly #outcome: Promise<R>;
  #resolve: (result: R) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #started = false;

  constructor(pieces: AsyncGenerator<Piece, R>) {
    this.#pieces = pieces;
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#outcome.catch(() => {}); // whoever iterates sees the error there
  }

  get result(): Promise<R> {
    if (!this.#started) void this.#drain();
    return this.#outcome;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece> {
    if (this.#started) throw new Error("an answer can be iterated only once");
    this.#started = true;
    const gone = new DOMException("the answer was abandoned before its end", "AbortError");
    try {
      for (;;) {
        const next = await this.#pieces.next();
        if (next.done === true) return this.#resolve(next.value);
        yield next.value;
      }
    } catch (error) {
      this.#reject(error);
      throw error;
    } finally {
      // Nothing more to do unless the caller broke off: then this stops the GPU.
      await this.#pieces.return(undefined as never);
      this.#reject(gone);
    }
  }

  async #drain(): Promise<void> {
    try {
      for await (const piece of this) void piece;
    } catch {
      // it is in the outcome
    }
  }
}
