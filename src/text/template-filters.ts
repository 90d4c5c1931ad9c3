import type { Meter } from "./template-meter.ts";
import type { TemplateValue } from "./template-nodes.ts";

/** Filters that look at a value down to its last letter; others only at its entries. */
const DEEP: ReadonlySet<string> = new Set(["tojson", "string", "join", "sort", "unique"]);

/** Charges for the work of a filter of the package. */
export function chargeFilter(meter: Meter, name: string, operand: TemplateValue): void {
  if (DEEP.has(name)) meter.scan(operand);
  else meter.search(operand);
  if (name === "sort" || name === "dictsort") {
    const entries = meter.entries(operand);
    const rounds = Math.ceil(Math.log2(entries + 1));
    meter.spend(rounds * (entries + (meter.sizeOf(operand).chars >>> 7)));
  }
}

/**
 * Bounds the results of the filters that can make much out of little, before they are made.
 * @throws ChatTemplateError where a result would be too long.
 */
export function checkFilter(
  meter: Meter,
  name: string,
  operand: TemplateValue,
  args: readonly TemplateValue[],
): void {
  const { chars, depth } = meter.sizeOf(operand);
  const text = typeof operand.value === "string" ? operand.value : undefined;
  for (const { value } of args) {
    if (name === "join" && typeof value === "string") {
      // A text is joined character by character.
      if (text !== undefined) meter.spend(chars >>> 3);
      const gaps = text === undefined ? meter.entries(operand) : chars;
      meter.assertLength(chars + gaps * value.length);
    }
    // Each line, or each entry of JSON, starts with its indentation.
    if ((name === "indent" || name === "tojson") && typeof value === "number") {
      const lines = text === undefined ? chars >>> 1 : text.split("\n").length;
      meter.assertLength(chars + lines * value * (1 + depth));
    }
  }
}
