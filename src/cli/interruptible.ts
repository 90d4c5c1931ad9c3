/** Why work ends when nobody reads the output any more, as behind `| head`. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** Interrupts that are no further apart are one Ctrl-C: the terminal's, and the same passed on by `restart`. */
const ONE_PRESS_MS = 500;

/**
 * Run `work` with a signal that Ctrl-C aborts, and a reader that goes away, so that the GPU is left in
 * order: a process that exits in the middle of its work may crash. Another Ctrl-C ends the process.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  let press: NodeJS.Timeout | undefined;
  const stopListening = (): void => void process.removeListener("SIGINT", onInterrupt);
  const onInterrupt = (): void => {
    interrupted.abort(new DOMException("interrupted", "AbortError"));
    press ??= setTimeout(stopListening, ONE_PRESS_MS).unref();
  };
  const onOutputError = ({ code }: NodeJS.ErrnoException): void => {
    if (code === "EPIPE") interrupted.abort(new OutputClosedError("nobody reads the output"));
  };
  process.on("SIGINT", onInterrupt);
  process.stdout.on("error", onOutputError);
  try {
    return await work(interrupted.signal);
  } finally {
    if (press === undefined) stopListening();
    process.stdout.removeListener("error", onOutputError);
  }
}
