import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { SourceError } from "../errors.ts";
import { assertRange, type ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";

/** A source over an open file; `close` it when nothing reads any more. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/**
 * Opens a file on disk (Node only) for reading by ranges.
 *
 * @throws SourceError when it is missing, not readable or no file.
 */
export async function openFileSource(path: string): Promise<FileSource> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const stats = await handle.stat();
    if (!stats.isFile()) throw new SourceError(path, "is no file; name a model file");
    return fileSource(path, handle, stats.size);
  } catch (cause) {
    await handle?.close();
    if (cause instanceof SourceError) throw cause;
    throw new SourceError(path, adviceFor(cause), { cause });
  }
}

/** The files of a folder on disk (Node only), each open only while it is read. */
export function diskFolder(path: string): ModelFolder {
  return {
    name: path,
    async open(name) {
      const file = join(path, name);
      const read: ByteSource["read"] = async (offset, length, signal, into) => {
        const source = await openFileSource(file);
        try {
          return await source.read(offset, length, signal, into);
        } finally {
          await source.close();
        }
      };
      try {
        const { size, close } = await openFileSource(file);
        await close();
        return { name: file, size, read };
      } catch (error) {
        const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
        if (cause?.code === "ENOENT") return undefined;
        throw error;
      }
    },
  };
}

function fileSource(name: string, handle: FileHandle, size: number): FileSource {
  return {
    name,
    size,
    async read(offset, length, signal, into) {
      signal?.throwIfAborted();
      assertRange(this, offset, length);
      const bytes = into?.subarray(0, length) ?? new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle
          .read(bytes, filled, length - filled, offset + filled)
          .catch((cause: unknown) => {
            throw new SourceError(name, adviceFor(cause), { cause });
          });
        signal?.throwIfAborted();
        if (bytesRead === 0) {
          throw new SourceError(name, `ended at ${offset + filled} of ${size} bytes: it was cut`);
        }
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

function adviceFor(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file; check the path";
  if (code === "EACCES" || code === "EPERM") return "may not be read; check its permissions";
  if (code === "EISDIR") return "is a folder; name a model file";
  return `could not be read (${cause instanceof Error ? cause.message : String(cause)})`;
}
