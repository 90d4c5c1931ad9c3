import { InvalidOptionError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { blobSource, openUrlSource } from "../hub/sources.ts";

/** Where a model file is: an address, a picked file, or anything that reads by ranges. */
export type ModelSource = string | URL | Blob | ByteSource;

/**
 * Open a model file for reading.
 * @throws SourceError when it cannot be reached, InvalidOptionError when it is none of these.
 */
export async function openSource(source: ModelSource, signal?: AbortSignal): Promise<ByteSource> {
  if (source instanceof Blob) return blobSource(source);
  if (typeof source === "string" || source instanceof URL) {
    return openUrlSource(source, signal === undefined ? {} : { signal });
  }
  if (typeof source?.read !== "function") {
    throw new InvalidOptionError("source", source, "an address, a Blob or something to read from");
  }
  return source;
}
