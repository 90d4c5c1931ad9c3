/** Figures as the charts write them: binary units, one decimal, a no-break space before the unit. */

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const NBSP = "\u00a0";

/** `3,412` */
export function formatCount(count: number): string {
  return WHOLE.format(count);
}

/** Bytes as MiB with one decimal: `93.8 MiB`. */
export function formatMiB(bytes: number): string {
  return `${TENTHS.format(bytes / 2 ** 20)}${NBSP}MiB`;
}

/** Bytes in the unit that suits them: `512 B`, `23.4 KiB`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const size = Math.abs(bytes);
  if (size < 1024) return `${WHOLE.format(bytes)}${NBSP}B`;
  if (size < 2 ** 20) return `${TENTHS.format(bytes / 1024)}${NBSP}KiB`;
  return formatMiB(bytes);
}

/** A share from 0 to 1 in percent: `93.1 %`. */
export function formatShare(share: number): string {
  return `${TENTHS.format(100 * share)}${NBSP}%`;
}

/** A time: `12 µs`, `4.2 ms`, `1.3 s`. */
export function formatTime(ms: number): string {
  if (ms !== 0 && Math.abs(ms) < 1) return `${WHOLE.format(1000 * ms)}${NBSP}µs`;
  if (Math.abs(ms) < 1000) return `${TENTHS.format(ms)}${NBSP}ms`;
  return `${TENTHS.format(ms / 1000)}${NBSP}s`;
}
