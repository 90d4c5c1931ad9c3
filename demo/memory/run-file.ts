import { formatMiB } from "../../src/elements.ts";
import { parseTrace, type RunTrace } from "../../src/profile.ts";
import { type MeasuredQuality, parseQuality } from "./quality.ts";

/** Largest file that is read, in bytes: a run of 100,000 changes has a tenth of it. */
export const MAX_RUN_BYTES: number = 200 * 2 ** 20;

/** What is wrong with a file that was to be shown. */
export type RunFileFault = "too-large" | "not-a-run";

/** A file that the memory page can't show: what it is, and what to do. */
export class RunFileError extends Error {
  override readonly name = "RunFileError";
  readonly fault: RunFileFault;

  constructor(fault: RunFileFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** What a file holds: an exported run, or what `npm run quality` measured. */
export type RunFile = { readonly run: RunTrace } | { readonly quality: MeasuredQuality };

/**
 * Read a file. One that is too large isn't looked into.
 * @throws RunFileError naming the file and what is wrong with it
 */
export async function readRunFile(file: Pick<File, "name" | "size" | "text">): Promise<RunFile> {
  const { name, size } = file;
  if (size > MAX_RUN_BYTES) {
    throw new RunFileError(
      "too-large",
      `${name} has ${formatMiB(size)}; up to ${formatMiB(MAX_RUN_BYTES)} can be opened. ` +
        "Runs that are exported here are far smaller: choose another file.",
    );
  }
  const text = await file.text();
  try {
    const quality = parseQuality(text);
    return quality === undefined ? { run: parseTrace(text) } : { quality };
  } catch (error) {
    throw new RunFileError(
      "not-a-run",
      `${name} is no run that can be shown: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
