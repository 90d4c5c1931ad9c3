import { templateError } from "./template-errors.ts";
import type { TemplateValue } from "./template-nodes.ts";

/** Most steps of a template, before what its messages add. */
const BASE_FUEL = 200_000;
const FUEL_PER_MESSAGE = 2_000;
/** Longest text that a template may write or hold, in UTF-16 units: eight times a context of 128k tokens. */
export const MAX_CHARS: number = 4 * 1024 * 1024;
/** Nesting of lists and objects. */
const MAX_NESTING = 64;

/** Size of a value written out: characters, and levels of lists. */
interface Size {
  readonly chars: number;
  readonly depth: number;
}

const SMALL: Size = { chars: 8, depth: 0 };

/**
 * Counts a template's work and stops it: a step per node, and for each new value by its size (a step per 256
 * characters, and per 4 entries of a list), so that no single operation is large unpaid.
 */
export class Meter {
  #fuel: number;
  readonly #limit: number;
  /** Sizes of lists and objects; those share parts, so written out they can be exponentially large. */
  readonly #sizes = new WeakMap<object, Size>();
  readonly #seen = new WeakSet<object>();

  /** @param chars of all messages together. */
  constructor(messages: number, chars: number) {
    this.#limit = BASE_FUEL + FUEL_PER_MESSAGE * messages + Math.ceil(chars / 8);
    this.#fuel = this.#limit;
  }

  /** @throws ChatTemplateError when the steps are used up. */
  spend(steps: number): void {
    this.#fuel -= steps;
    if (this.#fuel < 0) throw templateError(`works too much (more than ${this.#limit} steps)`);
  }

  /** @throws ChatTemplateError where a text of this length is too long. */
  assertLength(chars: number): void {
    if (chars <= MAX_CHARS) return;
    throw templateError(`writes too much (more than ${MAX_CHARS} characters)`);
  }

  /** Takes note of a value: checks its size, and charges for it the first time. */
  note(value: TemplateValue): void {
    if (typeof value.value === "string") {
      if (this.#seen.has(value)) return;
      this.#seen.add(value);
      this.assertLength(value.value.length);
      this.spend(value.value.length >>> 8);
    } else if (typeof value.value === "object" && value.value !== null) {
      this.sizeOf(value);
    }
  }

  /** Charges for going through all characters of a value, written out. */
  scan(value: TemplateValue): void {
    this.spend(this.sizeOf(value).chars >>> 8);
  }

  /** Charges for going through a text, or through the entries of a list or object. */
  search(value: TemplateValue): void {
    if (typeof value.value === "string") this.scan(value);
    else this.spend(this.entries(value) >>> 2);
  }

  /** Number of entries of a list or object, 0 for other values. */
  entries(value: TemplateValue): number {
    if (Array.isArray(value.value)) return value.value.length;
    return value.value instanceof Map ? value.value.size : 0;
  }

  /** Size of a value, written out. */
  sizeOf(value: TemplateValue): Size {
    if (typeof value.value === "string") return { chars: value.value.length, depth: 0 };
    if (!Array.isArray(value.value) && !(value.value instanceof Map)) return SMALL;
    const known = this.#sizes.get(value);
    if (known) return known;
    this.spend(this.entries(value) >>> 2);
    const size = this.#measure(value.value);
    this.assertLength(size.chars);
    if (size.depth > MAX_NESTING) throw templateError("nests lists too deeply");
    // A namespace can change: its size holds only for now.
    if (value.type !== "NamespaceValue") this.#sizes.set(value, size);
    return size;
  }

  #measure(container: readonly TemplateValue[] | ReadonlyMap<string, TemplateValue>): Size {
    let chars = 2;
    let depth = 0;
    const add = (value: TemplateValue) => {
      this.assertNoNamespace(value);
      const size = this.sizeOf(value);
      chars += size.chars + 2;
      depth = Math.max(depth, size.depth);
    };
    if (container instanceof Map) {
      for (const [key, value] of container as ReadonlyMap<string, TemplateValue>) {
        chars += key.length + 4;
        add(value);
      }
    } else {
      for (const value of container as readonly TemplateValue[]) add(value);
    }
    return { chars, depth: depth + 1 };
  }

  /** A namespace can change after its size was taken, so it may not stand inside another value. */
  assertNoNamespace(value: TemplateValue): void {
    if (value.type === "NamespaceValue") throw templateError("puts a namespace into a value");
  }
}
