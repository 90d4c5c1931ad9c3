import { SourceError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** The files of a model: a folder on disk or on a server, a list of picked files, a hub repository. */
export interface ModelFolder {
  /** What messages call it. */
  readonly name: string;
  /**
   * Opens a file by its name in the folder; undefined where there is none.
   * @throws SourceError when it is there but cannot be read; the signal's reason when aborted.
   */
  open(path: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
}

/** Opens a file that must be there. */
export async function openRequired(
  folder: ModelFolder,
  path: string,
  signal?: AbortSignal,
): Promise<ByteSource> {
  const source = await folder.open(path, signal);
  if (source !== undefined) return source;
  throw new SourceError(folder.name, `there is no ${path}; give all files of the model`);
}
