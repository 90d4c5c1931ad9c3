import { isTime } from "../format.ts";
import { HistoryFileError } from "./history-file-error.ts";

/** A value of a file, and where it stands there: `conversations[3].turns[0].text`. */
export interface Placed {
  readonly value: unknown;
  readonly path: string;
}

/** A part of an object. */
export function part(of: Placed, name: string): Placed {
  const { value, path } = of;
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(of, "an object");
  const parts: Readonly<Record<string, unknown>> = { ...value };
  return { value: parts[name], path: path === "" ? name : `${path}.${name}` };
}

export function readText(of: Placed): string {
  return typeof of.value === "string" ? of.value : fail(of, "a text");
}

/** A number that is finite and not negative. */
export function readNumber(of: Placed): number {
  const { value } = of;
  const fits = typeof value === "number" && Number.isFinite(value) && value >= 0;
  return fits ? value : fail(of, "a number");
}

/** Milliseconds since 1970. */
export function readTime(of: Placed): number {
  const ms = readNumber(of);
  return isTime(ms) ? ms : fail(of, "a time in milliseconds since 1970");
}

export function readFlag(of: Placed): boolean {
  return typeof of.value === "boolean" ? of.value : fail(of, "true or false");
}

export function readChoice<T extends string>(of: Placed, choices: readonly T[]): T {
  return choices.find((choice) => choice === of.value) ?? fail(of, choices.join(" or "));
}

export function readList<T>(of: Placed, read: (item: Placed) => T): T[] {
  const { value, path } = of;
  if (!Array.isArray(value)) return fail(of, "a list");
  return value.map((item: unknown, i) => read({ value: item, path: `${path}[${i}]` }));
}

/** Absent, or what `read` makes of it. */
export function readOptional<T>(of: Placed, read: (there: Placed) => T): T | undefined {
  return of.value === undefined ? undefined : read(of);
}

function fail({ value, path }: Placed, wanted: string): never {
  const text = JSON.stringify(value) ?? "missing";
  const found = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  throw new HistoryFileError(
    "damaged",
    `The file is damaged: ${path || "its content"} should be ${wanted}, but is ${found}. ` +
      "Export the conversations again, or take an older file.",
  );
}
