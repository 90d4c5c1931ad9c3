/** Words of a stretch that are looked at: enough to tell models apart, few enough to cost nothing. */
const SAMPLES = 256;

/**
 * A short name of a long run of words, by samples of each stretch of it: tells models with the same shape
 * apart. No protection against somebody who wants two to look alike.
 */
export class Fingerprint {
  // Two lanes of FNV-1a with different primes.
  #a = 0x811c9dc5;
  #b = 0xcbf29ce4;

  /** Take another stretch into account: whole words, which need not be aligned. */
  add({ buffer, byteOffset, byteLength }: ArrayBufferView): void {
    const view = new DataView(buffer, byteOffset, byteLength);
    const words = Math.floor(byteLength / 4);
    const step = Math.max(1, Math.floor(words / SAMPLES));
    for (let i = 0; i < words; i += step) this.#word(view.getUint32(4 * i, true));
    this.#word(words);
  }

  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i));
    this.#word(text.length);
  }

  /** 16 hexadecimal digits. */
  get hex(): string {
    return [this.#a, this.#b].map((lane) => lane.toString(16).padStart(8, "0")).join("");
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193) >>> 0;
    this.#b = Math.imul((this.#b ^ word) + (this.#b >>> 13), 0x85ebca6b) >>> 0;
  }
}
