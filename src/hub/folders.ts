import { InvalidOptionError, SourceError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";
import { HttpStatusError } from "./http-range.ts";
import { blobSource, openUrlSource } from "./sources.ts";

/**
 * The files of a list, in an array; undefined where it is no list of files. Where the browser says the way to each (a
 * picked folder), only those that lie in the folder itself: a model's files lie side by side.
 */
export function listedFiles(list: unknown): File[] | undefined {
  const { FileList } = globalThis as Partial<typeof globalThis>;
  if (!Array.isArray(list) && !(FileList && list instanceof FileList)) return undefined;
  const files: unknown[] = [...list];
  if (!files.every((file) => file instanceof Blob)) return undefined;
  return (files as File[]).filter(isOnTop);
}

function isOnTop({ webkitRelativePath = "" }: Partial<File>): boolean {
  return webkitRelativePath.split("/").length <= 2;
}

/** A folder of picked or dropped files. */
export function filesFolder(files: readonly File[]): ModelFolder {
  const byName = new Map<string, File>();
  for (const file of files) {
    if (byName.has(file.name)) {
      throw new InvalidOptionError("source", file.name, "files of one model, each name once");
    }
    byName.set(file.name, file);
  }
  const name = folderName(files) ?? `${files.length} files`;
  return {
    name,
    async open(path) {
      const file = byName.get(path);
      return file && blobSource(file);
    },
  };
}

/** The folder that was picked, where the browser says it. */
function folderName(files: readonly File[]): string | undefined {
  const [top, rest] = files[0]?.webkitRelativePath?.split("/") ?? [];
  return rest === undefined ? undefined : top;
}

/** A folder that the user gave access to (`showDirectoryPicker`), or one of the origin's own. */
export function directoryFolder(handle: FileSystemDirectoryHandle): ModelFolder {
  return {
    name: handle.name || "folder",
    async open(path) {
      try {
        return blobSource(await (await handle.getFileHandle(path)).getFile());
      } catch (cause) {
        if (cause instanceof DOMException && cause.name === "NotFoundError") return undefined;
        if (cause instanceof SourceError) throw cause;
        throw new SourceError(
          `${handle.name}/${path}`,
          `may not be read; choose the folder again`,
          {
            cause,
          },
        );
      }
    },
  };
}

/** Opens one file of an address; throws `HttpStatusError` for a status of 404. */
export type OpenUrl = (url: string, signal?: AbortSignal) => Promise<ByteSource>;

/**
 * A folder on a server: an address whose path ends in "/", to which file names are appended. A query (a signed folder's,
 * say) goes with each.
 */
export function urlFolder(
  base: string,
  open: OpenUrl = (url, signal) => openUrlSource(url, { signal }),
): ModelFolder {
  const [, path = base, query = ""] = /^([^?#]*)(\?[^#]*)?/.exec(base) ?? [];
  return {
    name: base,
    async open(file, signal) {
      try {
        return await open(`${path}${file}${query}`, signal);
      } catch (error) {
        if (error instanceof HttpStatusError && (error.status === 404 || error.status === 410)) {
          return undefined;
        }
        throw error;
      }
    },
  };
}
