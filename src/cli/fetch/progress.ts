const REDRAW_MS = 200;
/** Where lines can't be redrawn (a log), one in this time is enough. */
const LOG_MS = 5000;

/** Shows how far a transfer is. */
export interface Progress {
  /** Call with the bytes that are there by now. */
  update(bytes: number): void;
  /** Call when the transfer ended, well or not. */
  end(): void;
}

/**
 * Starts a line with bytes, share, rate and remaining time, redrawn in place on a terminal.
 *
 * @param totalBytes All bytes of the transfer.
 * @param startBytes Bytes that were there before; they don't count for the rate.
 */
export function startProgress(
  totalBytes: number,
  startBytes: number,
  output: NodeJS.WriteStream = process.stdout,
): Progress {
  const start = performance.now();
  const interval = output.isTTY ? REDRAW_MS : LOG_MS;
  let shown = start - interval + REDRAW_MS;
  let last = startBytes;
  const show = (): void => {
    const seconds = (performance.now() - start) / 1000;
    const line = progressLine(last, totalBytes, (last - startBytes) / seconds);
    output.write(output.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  };
  return {
    update(bytes) {
      last = bytes;
      if (performance.now() - shown < interval) return;
      shown = performance.now();
      show();
    },
    end() {
      show();
      if (output.isTTY) output.write("\n");
    },
  };
}

/** `  12.3 of 98.4 MB (12 %), 4.2 MB/s, 21 s left` */
export function progressLine(bytes: number, totalBytes: number, bytesPerSecond: number): string {
  const mega = (n: number): string => (n / 1e6).toFixed(1);
  const percent = Math.floor((100 * bytes) / totalBytes);
  const left =
    bytes >= totalBytes
      ? ""
      : bytesPerSecond > 0
        ? `, ${Math.ceil((totalBytes - bytes) / bytesPerSecond)} s left`
        : ", time left unknown";
  return `  ${mega(bytes)} of ${mega(totalBytes)} MB (${percent} %), ${mega(bytesPerSecond)} MB/s${left}`;
}
