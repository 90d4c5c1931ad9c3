/** Something that is made when it is first asked for; after a failure it is tried again. */
export class Lazy<T> {
  readonly #make: () => Promise<T>;
  #making: Promise<T> | undefined;
  #value: T | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  /** What was made, if it was. */
  get value(): T | undefined {
    return this.#value;
  }

  async get(): Promise<T> {
    this.#making ??= this.#make();
    try {
      this.#value = await this.#making;
      return this.#value;
    } catch (error) {
      this.#making = undefined;
      throw error;
    }
  }
}
