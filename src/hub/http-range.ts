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

/** A byte range and what the caller has to say about it. */
interface RangeRequest {
  readonly url: string;
  readonly offset: number;
  readonly length: number;
  readonly fetch: typeof fetch;
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
  readonly into?: Uint8Array | undefined;
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
  const common = {
    url,
    fetch: options.fetch ?? fetch,
    stallMs: options.stallMs ?? DEFAULT_STALL_MS,
  };
  const first = await requestRange({
    ...common,
    offset: 0,
    length: PROBE_BYTES,
    signal: options.signal,
  });
  const source: HttpFile = {
    name: url,
    ...first.entity,
    async read(offset, length, signal, into) {
      signal?.throwIfAborted();
      assertRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      const { bytes, entity } = await requestRange({ ...common, offset, length, signal, into });
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

async function requestRange(request: RangeRequest): Promise<{ bytes: Uint8Array; entity: Entity }> {
  // Taken out of the request: browsers refuse a `fetch` that is called as a method of something.
  const { url, offset, length, signal, fetch } = request;
  signal?.throwIfAborted();
  const stop = new AbortController();
  const forwardAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener("abort", forwardAbort, { once: true });
  let stalled = false;
  const onStall = () => {
    stalled = true;
    stop.abort();
  };
  let timer = setTimeout(onStall, request.stallMs);
  try {
    const response = await fetch(url, {
      headers: { Range: `bytes=${offset}-${offset + length - 1}` },
      signal: stop.signal,
    });
    const entity = checkHeaders(url, response, offset, length);
    const bytes = await readBody(url, response, length, request.into, () => {
      clearTimeout(timer);
      timer = setTimeout(onStall, request.stallMs);
    });
    return { bytes, entity };
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof SourceError) throw cause;
    const reason = stalled
      ? `sent nothing for ${request.stallMs / 1000} s; try again`
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
