import { type HttpOptions, TransferError } from "./http-range.ts";

/** A Git LFS pointer is shorter than this. */
const MAX_POINTER_BYTES = 1024;

const POINTER =
  /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n/;

/**
 * The SHA-256 that a hub has of a large file: its Git LFS pointer is under `raw/` what the file is under `resolve/`. The
 * header `x-linked-etag` would tell as much, but on the redirect, which pages can't see. Undefined for small files,
 * which have no pointer, and where a server has no such address.
 * @throws SourceError when the server can't be reached; the signal's reason when aborted
 */
export async function hubSha256(rawUrl: string, options: HttpOptions): Promise<string | undefined> {
  const { signal = null, fetch: request = fetch } = options;
  try {
    const response = await request(rawUrl, { signal });
    const reader = response.body?.getReader();
    let text = "";
    const decoder = new TextDecoder();
    while (response.ok && text.length < MAX_POINTER_BYTES) {
      const part = await reader?.read();
      if (part?.value === undefined) break;
      text += decoder.decode(part.value, { stream: true });
    }
    await reader?.cancel();
    return POINTER.exec(text)?.[1];
  } catch (cause) {
    signal?.throwIfAborted();
    const advice = "check the address and the connection, and try again";
    throw new TransferError(rawUrl, `could not be fetched (${String(cause)}); ${advice}`, {
      cause,
    });
  }
}
