/** What is wrong with a file of conversations. */
export type HistoryFileFault =
  "too-large" | "not-json" | "not-history" | "wrong-version" | "damaged";

/** A file of conversations that can't be read: what it is, and what to do. */
export class HistoryFileError extends Error {
  override readonly name = "HistoryFileError";
  readonly fault: HistoryFileFault;

  constructor(fault: HistoryFileFault, message: string) {
    super(message);
    this.fault = fault;
  }
}
