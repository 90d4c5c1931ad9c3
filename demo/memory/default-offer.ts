import { formatMiB } from "../../src/elements.ts";
import { openUrlSource } from "../../src/index.ts";
import { byId, setText } from "../dom.ts";
import { findKept } from "../kept-models.ts";

/** Say what the model that the page offers costs to get: bytes to fetch, or that this device has it. */
export async function showOffer(url: URL): Promise<void> {
  // Without storage there is nothing to find, and nothing to say.
  const kept = await findKept(url).catch(() => undefined);
  const said = kept !== undefined && keptWords(kept.storedBytes, kept.totalBytes);
  setText(byId("offer", HTMLElement), said || (await sizeWords(url)));
}

function keptWords(storedBytes: number, totalBytes: number): string {
  if (storedBytes === totalBytes) return `It is on this device (${formatMiB(totalBytes)}).`;
  return `${formatMiB(totalBytes - storedBytes)} to get: the rest of it is on this device.`;
}

async function sizeWords(url: URL): Promise<string> {
  try {
    return `${formatMiB((await openUrlSource(url)).size)} to get.`;
  } catch (error) {
    return `It can’t be had from here: ${(error as Error).message}`;
  }
}
