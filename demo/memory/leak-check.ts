import { formatBytes, formatCount } from "../../src/elements.ts";
import { byId, setHidden, tableRow } from "../dom.ts";
import type { Survivor } from "./count-gpu.ts";

/** Buffers of one label that are there and should not be. */
export interface Leak {
  readonly label: string;
  readonly count: number;
  readonly bytes: number;
  /** How it was found. */
  readonly found: "grew from turn to turn" | "left on the GPU";
}

/** Labels of which there are more bytes after a turn than after the same turn before. */
export function grownLabels(before: readonly Survivor[], after: readonly Survivor[]): Leak[] {
  const old = sumByLabel(before);
  return [...sumByLabel(after)].flatMap(([label, { count, bytes }]) => {
    const was = old.get(label) ?? { count: 0, bytes: 0 };
    if (bytes <= was.bytes) return [];
    const grown = { count: count - was.count, bytes: bytes - was.bytes };
    return [{ label, ...grown, found: "grew from turn to turn" as const }];
  });
}

/** What was left when the engine had let go of everything, by label. */
export function leftLabels(survivors: readonly Survivor[]): Leak[] {
  const found = "left on the GPU" as const;
  return [...sumByLabel(survivors)].map(([label, sum]) => ({ label, ...sum, found }));
}

function sumByLabel(
  items: readonly Survivor[],
): Map<string, { readonly count: number; readonly bytes: number }> {
  const sums = new Map<string, { count: number; bytes: number }>();
  for (const { label, bytes } of items) {
    const sum = sums.get(label) ?? { count: 0, bytes: 0 };
    sums.set(label, { count: sum.count + 1, bytes: sum.bytes + bytes });
  }
  return sums;
}

/** Show what was found; an empty list takes the table away. */
export function showLeaks(leaks: readonly Leak[]): void {
  setHidden(byId("leak-report", HTMLElement), leaks.length === 0);
  byId("leak-rows", HTMLElement).replaceChildren(
    ...leaks.map(({ label, count, bytes, found }) =>
      tableRow(label || "(no label)", formatCount(count), formatBytes(bytes), found),
    ),
  );
}
