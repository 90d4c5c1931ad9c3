import { type HttpOptions, HttpStatusError, request } from "./http-range.ts";

/** A Git LFS pointer is shorter than this. */
const MAX_POINTER_BYTES = 1024;

const POINTER =
  /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n/;

/**
 * The SHA-256 that a hub has of a large file: its Git LFS pointer is under `raw/` what the file is under `resolve/`. The
 * header `x-linked-etag` would tell as much, but on the redirect, which pages can't see. Undefined for small files,
 * which have no pointer, and where a server has no such address (404, 410).
 * @throws SourceError when the server can't be reached, falls silent or answers anything else; the signal's reason when aborted
 */
export async function hubSha256(rawUrl: string, options: HttpOptions): Promise<string | undefined> {
  return request(rawUrl, options, {}, async (response, onBytes) => {
    const { ok, status, body } = response;
    if (status === 404 || status === 410) return undefined;
    if (!ok) throw new HttpStatusError(rawUrl, status);
    const reader = body?.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (text.length < MAX_POINTER_BYTES) {
      const part = await reader?.read();
      if (part?.value === undefined) break;
      onBytes();
      text += decoder.decode(part.value, { stream: true });
    }
    return POINTER.exec(text)?.[1];
  });
}
