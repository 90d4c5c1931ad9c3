/** Why work ends when nobody reads the output any more, as behind `| head`. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/**
 * Run `work` with a signal that Ctrl-C aborts, and a reader that goes away, so that the GPU is left in
 * order: a process that exits in the middle of its work may crash. A second Ctrl-C ends the process.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort(new DOMException("interrupted", "AbortError"));
  const onOutputError = ({ code }: NodeJS.ErrnoException): void => {
    if (code === "EPIPE") interrupted.abort(new OutputClosedError("nobody reads the output"));
  };
  process.once("SIGINT", onInterrupt);
  process.stdout.on("error", onOutputError);
  try {
    return await work(interrupted.signal);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
    process.stdout.removeListener("error", onOutputError);
  }
}
