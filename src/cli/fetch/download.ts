import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { startProgress } from "./progress.ts";

/** How patient a download is. */
export interface Patience {
  /** Until the server's first answer; short, so that an unreachable hub costs little. */
  readonly answerMs: number;
  /** Without a byte while the transfer runs. */
  readonly stallMs: number;
  /** Pause before going on after a cut. */
  readonly pauseMs: number;
}

const PATIENCE: Patience = { answerMs: 10_000, stallMs: 30_000, pauseMs: 1000 };

/** Cuts in a row without a new byte, and cuts in all, after which a source is given up. */
const MAX_FRUITLESS_CUTS = 4;
const MAX_CUTS = 50;

/** The transfer broke off; what has come is kept and it can go on. */
class TransferCut extends Error {}

/** Written beside a partial file: what it is a part of. */
interface PartOrigin {
  readonly url: string;
  /** The server's `ETag` or `Last-Modified`; a resumed transfer asks for the rest of this very version. */
  readonly validator: string;
}

/** Where the origin of a partial file is noted. */
export function originPath(part: string): string {
  return `${part}.json`;
}

/**
 * Downloads a URL into a partial file, after what an earlier try left there of the same version. Goes on after cuts, as
 * long as each brings something new.
 *
 * @param part Path of the partial file. It stays where the download fails, for the next try.
 * @param bytes How long the file must be.
 * @returns Whether the file was put together from several answers.
 * @throws Error with the reason in a few words; an error of the file system as it is.
 */
export async function download(
  url: string,
  part: string,
  bytes: number,
  log: (line: string) => void,
  patience: Patience = PATIENCE,
): Promise<boolean> {
  let fruitless = MAX_FRUITLESS_CUTS; // without a single byte so far, the first failure is the last
  for (let cuts = 0; ; cuts++) {
    const before = await sizeOf(part);
    try {
      return (await transfer(url, part, bytes, patience)) > 0;
    } catch (error) {
      if (!(error instanceof TransferCut)) throw error;
      const now = await sizeOf(part);
      fruitless = now === before ? fruitless + 1 : 0;
      if (fruitless > MAX_FRUITLESS_CUTS || cuts >= MAX_CUTS) throw error;
      log(`  cut at ${now} of ${bytes} bytes (${error.message}); going on`);
      await sleep(patience.pauseMs);
    }
  }
}

/** One request. Gives the position in the file from which on it brought the bytes. */
async function transfer(
  url: string,
  part: string,
  bytes: number,
  patience: Patience,
): Promise<number> {
  const origin = await readOrigin(part, url);
  const resumable = origin === undefined ? 0 : await sizeOf(part);
  const start = resumable > bytes ? 0 : resumable;
  if (start === bytes) return start;

  const abort = new AbortController();
  const clock = setTimeout(() => {
    abort.abort(new Error(`no answer in ${patience.answerMs / 1000} s`));
  }, patience.answerMs);
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (start > 0 && origin !== undefined) {
    headers["range"] = `bytes=${start}-`;
    headers["if-range"] = origin.validator;
  }
  const response = await fetch(url, { headers, signal: abort.signal })
    .catch((error: unknown) => {
      throw new TransferCut(reasonOf(error), { cause: error });
    })
    .finally(() => clearTimeout(clock));
  try {
    const position = await acceptAnswer(response, url, part, start, bytes);
    await store(response, part, position, bytes, patience.stallMs);
    return position;
  } finally {
    abort.abort(); // whatever is left of the answer isn't wanted
  }
}

/** Checks status and sizes, prepares the partial file, and tells where in the file the answer begins. */
async function acceptAnswer(
  response: Response,
  url: string,
  part: string,
  start: number,
  bytes: number,
): Promise<number> {
  if (response.status === 206 && start > 0) {
    const range = response.headers.get("content-range") ?? "";
    if (range === `bytes ${start}-${bytes - 1}/${bytes}`) return start;
    await forget(part);
    throw new TransferCut(`answered with another range (${range || "unnamed"})`);
  }
  if (response.status === 416) {
    await forget(part);
    throw new TransferCut("refused to go on from there");
  }
  if (response.status !== 200)
    throw new Error(`answered ${response.status} ${response.statusText}`);
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) !== bytes) {
    throw new Error(`has ${length} bytes, expected ${bytes}`);
  }
  // In this order, so that the note never speaks of other bytes than the file has.
  await rm(originPath(part), { force: true });
  await writeFile(part, "");
  const etag = response.headers.get("etag");
  // A weak tag promises no equal bytes.
  const strong = etag?.startsWith("W/") ? null : etag;
  const validator = strong ?? response.headers.get("last-modified");
  if (validator !== null) {
    const origin: PartOrigin = { url, validator };
    await writeFile(originPath(part), JSON.stringify(origin));
  }
  return 0;
}

async function store(
  response: Response,
  part: string,
  start: number,
  bytes: number,
  stallMs: number,
): Promise<void> {
  if (response.body === null) throw new TransferCut("sent nothing");
  const reader = response.body.getReader();
  const handle = await open(part, "r+");
  const progress = startProgress(bytes, start);
  let position = start;
  try {
    for (;;) {
      const chunk = await readInTime(reader, stallMs);
      if (chunk === undefined) break;
      if (position + chunk.length > bytes) {
        await forget(part);
        throw new Error(`sends more than the expected ${bytes} bytes`);
      }
      for (let done = 0; done < chunk.length;) {
        done += (await handle.write(chunk, done, chunk.length - done, position + done))
          .bytesWritten;
      }
      position += chunk.length;
      progress.update(position);
    }
    if (position < bytes) throw new TransferCut("ended early");
    await handle.sync();
  } finally {
    progress.end();
    await handle.close();
  }
}

async function readInTime(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  stallMs: number,
): Promise<Uint8Array | undefined> {
  let clock: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    clock = setTimeout(() => reject(new Error(`nothing came for ${stallMs / 1000} s`)), stallMs);
  });
  try {
    const { value } = await Promise.race([reader.read(), stalled]);
    return value;
  } catch (error) {
    throw new TransferCut(reasonOf(error), { cause: error });
  } finally {
    clearTimeout(clock);
  }
}

/** Deletes a partial file and the note of its origin, the note last: without the file it means nothing. */
export async function forget(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(originPath(part), { force: true });
}

async function readOrigin(part: string, url: string): Promise<PartOrigin | undefined> {
  try {
    const origin = JSON.parse(await readFile(originPath(part), "utf8")) as PartOrigin;
    return origin.url === url ? origin : undefined;
  } catch {
    return undefined; // nothing begun, or nothing that can go on
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** The innermost message: `fetch` itself says only that it failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
}
