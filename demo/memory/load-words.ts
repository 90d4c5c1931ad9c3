import type { LoadFigures } from "../chat-state.ts";
import { formatByteRate, formatMiB, formatTimeLeft } from "../format.ts";

const STAGES: Readonly<Record<LoadFigures["stage"], string>> = {
  fetch: "Getting the file",
  check: "Checking it",
  open: "Opening it",
  weights: "Uploading the weights to the GPU",
  compile: "Compiling the kernels",
  ready: "Ready",
};

/** How far a load has come: `Getting the file: 12.0 MiB of 97.9 MiB, 8.1 MiB/s, 11 s left`. */
export function loadWords(figures: LoadFigures): string {
  const { stage, loadedBytes, totalBytes, bytesPerSecond, msLeft, notKept } = figures;
  const parts = [
    totalBytes > 0 ? `${formatMiB(loadedBytes)} of ${formatMiB(totalBytes)}` : undefined,
    bytesPerSecond === undefined ? undefined : formatByteRate(bytesPerSecond),
    msLeft === undefined ? undefined : formatTimeLeft(msLeft),
    notKept === undefined ? undefined : `not kept on this device (${notKept})`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? `${STAGES[stage]}…` : `${STAGES[stage]}: ${parts.join(", ")}`;
}
