import { SourceError } from "../errors.ts";
import { assertRange, type ByteSource } from "../formats/byte-source.ts";

/** Options of a source over HTTP. */
export interface HttpOptions {
  readonly signal?: AbortSignal | undefined;
  /** What requests are made with; by default the platform's `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** A request that delivers nothing for so long has failed, in milliseconds. */
  readonly stallMs?: number | undefined;
}

/** A file on a server, and what tells one version of it from another. */
export interface HttpFile extends ByteSource {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** What must stay the same from one request to the next. */
interface Entity {
  readonly size: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

const DEFAULT_STALL_MS = 30_000;

/** What is asked for to learn the size. Not one byte: common servers (sirv, so Vite) misread `0-0`. */
const PROBE_BYTES = 2;

/**
 * A source whose every read is one checked range request; the first two bytes are asked for at once, to learn the size.
 *
 * @throws SourceError with what the server did and what to do about it.
 */
export async function openHttpFile(url: string, options: HttpOptions): Promise<HttpFile> {
  const first = await requestRange(url, options, 0, PROBE_BYTES);
  const source: HttpFile = {
    name: url,
    ...first.entity,
    async read(offset, length, signal, into) {
      signal?.throwIfAborted();
      assertRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      const { bytes, entity } = await requestRange(
        url,
        { ...options, signal },
        offset,
        length,
        into,
      );
      assertSameEntity(url, first.entity, entity);
      return bytes;
    },
  };
  return source;
}

/** The server answered with a status that is no success. */
export class HttpStatusError extends SourceError {
  readonly status: number;
  constructor(url: string, status: number) {
    super(url, `answered ${status}: ${adviceFor(status)}`);
    this.status = status;
  }
  override get name(): string {
    return "SourceError";
  }
}

/** An answer was cut, stalled or never came: another try may do better. */
export class TransferError extends SourceError {
  override get name(): string {
    return "SourceError";
  }
}

async function requestRange(
  url: string,
  options: HttpOptions,
  offset: number,
  length: number,
  into?: Uint8Array,
): Promise<{ readonly bytes: Uint8Array; readonly entity: Entity }> {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
  return request(url, options, headers, async (response, onBytes) => {
    const entity = checkHeaders(url, response, offset, length);
    return { bytes: await readBody(url, response, length, into, onBytes), entity };
  });
}

/**
 * Make a request and read its answer, which fails when nothing comes for `stallMs`. What `read` leaves of the answer
 * isn't fetched.
 *
 * @param read is to call `onBytes` whenever something came.
 * @throws TransferError when it was cut, stalled or never came; what `read` throws, if a SourceError; the signal's reason when aborted.
 */
export async function request<T>(
  url: string,
  { signal, fetch: send = fetch, stallMs = DEFAULT_STALL_MS }: HttpOptions,
  headers: Readonly<Record<string, string>>,
  read: (response: Response, onBytes: () => void) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const forwardAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener("abort", forwardAbort, { once: true });
  let stalled = false;
  const onStall = () => {
    stalled = true;
    stop.abort();
  };
  let timer = setTimeout(onStall, stallMs);
  try {
    return await read(await send(url, { headers, signal: stop.signal }), () => {
      clearTimeout(timer);
      timer = setTimeout(onStall, stallMs);
    });
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof SourceError) throw cause;
    const reason = stalled
      ? `sent nothing for ${stallMs / 1000} s; try again`
      : `could not be fetched (${describe(cause)}); check the address, the connection and, in a ` +
        `browser, that the server allows requests from this page`;
    throw new TransferError(url, reason, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", forwardAbort);
    // Ends the transfer where the answer was refused; after a complete body it does nothing.
    stop.abort();
  }
}

/** The entity that a 206 answer describes; throws where it isn't what was asked for. */
function checkHeaders(url: string, response: Response, offset: number, length: number): Entity {
  if (response.status === 200) {
    throw new SourceError(
      url,
      "answered with the whole file: the server does not support range requests; " +
        "download the file and open it from disk, or use another server",
    );
  }
  if (response.status !== 206) {
    throw new HttpStatusError(url, response.status);
  }
  const header = response.headers.get("Content-Range");
  if (header === null) {
    throw new SourceError(
      url,
      "answered without a readable Content-Range; a server on another origin must send " +
        '"Access-Control-Expose-Headers: Content-Range, ETag"',
    );
  }
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header.trim());
  const [start, end, size] = match ? match.slice(1).map(Number) : [];
  const last = offset + length - 1;
  if (start !== offset || end !== last || size === undefined || !(last < size)) {
    throw new SourceError(
      url,
      `answered Content-Range "${header}" to a request for bytes ${offset}-${last}; ` +
        `try again or use another server`,
    );
  }
  return {
    size,
    etag: response.headers.get("ETag"),
    lastModified: response.headers.get("Last-Modified"),
  };
}

async function readBody(
  url: string,
  response: Response,
  length: number,
  into: Uint8Array | undefined,
  onBytes: () => void,
): Promise<Uint8Array> {
  const bytes = into?.subarray(0, length) ?? new Uint8Array(length);
  let filled = 0;
  const reader = response.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    onBytes();
    if (filled + value.length > length) {
      throw new SourceError(url, `sent more than the ${length} bytes asked for; try again`);
    }
    bytes.set(value, filled);
    filled += value.length;
  }
  if (filled !== length) {
    throw new TransferError(url, `sent ${filled} of ${length} bytes; try again`);
  }
  return bytes;
}

function assertSameEntity(url: string, first: Entity, now: Entity): void {
  // Replicas of one file agree on the ETag, but not always on the date: the date only stands in for a missing ETag.
  const tagged = first.etag !== null && now.etag !== null;
  const sameTag = tagged ? first.etag === now.etag : first.lastModified === now.lastModified;
  if (first.size === now.size && sameTag) return;
  throw new SourceError(url, "changed on the server while it was being read; load it again");
}

function adviceFor(status: number): string {
  if (status === 401 || status === 403) return "it needs a permission that this request lacks";
  if (status === 404 || status === 410) return "there is no such file; check the address";
  if (status === 416) return "the file is empty or shorter than before; check the address";
  if (status === 429 || status >= 500) return "the server cannot serve it now; try again later";
  return "check the address";
}

/** Fetch hides the reason (refused, no such host) in the error's cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
