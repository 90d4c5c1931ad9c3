import { hubAddress, openUrlSource, SourceError } from "../src/index.ts";
import type { ModelChoice } from "./chat-state.ts";
import { formatMiB } from "./format.ts";
import { isKeepable, listKept } from "./kept-models.ts";

/** What is known of a model of the network before anything of it is fetched. */
export interface Ahead {
  /** Of its weights' file or files; undefined where nothing says it. */
  readonly totalBytes: number | undefined;
  /** What of them is on this device already. */
  readonly storedBytes: number;
  /** Bytes that the browser leaves for a copy; undefined where it doesn't say, and where no copy is kept. */
  readonly room: number | undefined;
  readonly isKept: boolean;
}

/**
 * Ask for the size of a model, and what this device has and can keep of it.
 * @throws SourceError where its file can't be reached; InvalidOptionError for a name that no hub has
 */
export async function lookAhead({ source }: ModelChoice): Promise<Ahead> {
  const url = addressOf(source);
  const isKept = isKeepable(source);
  const copy = (await listKept().catch(() => [])).find((kept) => kept.url === url);
  const estimate = isKept ? await estimateStorage() : undefined;
  const { quota, usage } = estimate ?? {};
  const room = quota === undefined || usage === undefined ? undefined : quota - usage;
  const totalBytes =
    copy?.totalBytes ?? (url.endsWith("/") ? await folderBytes(url) : await fileBytes(url));
  return { totalBytes, storedBytes: copy?.storedBytes ?? 0, room, isKept };
}

/** The same in words. */
export function aheadText({ totalBytes, storedBytes, room, isKept }: Ahead): string {
  if (totalBytes === undefined)
    return "Its size isn’t known before it is read; it isn’t kept here.";
  const left = totalBytes - storedBytes;
  const size =
    left === 0 ? `on this device (${formatMiB(totalBytes)}).` : `${formatMiB(left)} to get.`;
  const weights = ` Its weights take about ${formatMiB(totalBytes)} of GPU memory.`;
  if (left === 0) return size + weights;
  if (!isKept) return `${size} It isn’t kept on this device.${weights}`;
  if (room === undefined) return size + weights;
  const only = left > room ? "only " : "";
  const why = left > room ? ": it will be read, but not kept." : " to keep it in.";
  return `${size}${weights} The browser leaves ${only}${formatMiB(room)}${why}`;
}

function addressOf(source: ModelChoice["source"]): string {
  if (source instanceof URL) return source.href;
  if ("repository" in source) return `${hubAddress(source)}${source.file ?? ""}`;
  throw new TypeError("files of the user's have no address");
}

async function estimateStorage(): Promise<StorageEstimate | undefined> {
  try {
    return await navigator.storage.estimate();
  } catch {
    return undefined;
  }
}

async function fileBytes(url: string): Promise<number> {
  return (await openUrlSource(url)).size;
}

/** One file of weights, or as many as an index says. */
async function folderBytes(folder: string): Promise<number | undefined> {
  try {
    return await fileBytes(`${folder}model.safetensors`);
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
  }
  const index = await openUrlSource(`${folder}model.safetensors.index.json`);
  const text = new TextDecoder().decode(await index.read(0, index.size));
  const { metadata } = JSON.parse(text) as { metadata?: { total_size?: unknown } };
  const total = metadata?.total_size;
  return typeof total === "number" ? total : undefined;
}
