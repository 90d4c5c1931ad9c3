import { InvalidOptionError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";
import { directoryFolder, filesFolder, listedFiles, urlFolder } from "./folders.ts";
import { hubAddress, type HubModel } from "./hub-repository.ts";
import { blobSource, openUrlSource } from "./sources.ts";

/**
 * Where a model is. One GGUF file: an address, a picked file, or anything that reads by ranges. Hugging Face's files
 * (`config.json`, `tokenizer.json`, `*.safetensors`): an address whose path ends in "/", a list of files (of a picked
 * folder those that are not in its subfolders), a folder handle, or anything that opens files by name. Either: a
 * repository of a hub.
 */
export type ModelSource =
  | string
  | URL
  | Blob
  | ByteSource
  | readonly File[]
  | FileList
  | FileSystemDirectoryHandle
  | ModelFolder
  | HubModel;

/** One file, or the files of a folder. */
export type OpenSource = { readonly file: ByteSource } | { readonly folder: ModelFolder };

/**
 * Open a model's file, or find its folder.
 * @throws SourceError when it cannot be reached, InvalidOptionError when it is none of these.
 */
export async function openSource(source: ModelSource, signal?: AbortSignal): Promise<OpenSource> {
  const openUrl = async (url: string): Promise<OpenSource> =>
    url.split(/[?#]/)[0]?.endsWith("/")
      ? { folder: urlFolder(url) }
      : { file: await openUrlSource(url, { signal }) };
  if (typeof source === "string" || source instanceof URL) return openUrl(String(source));
  if (source instanceof Blob) return { file: blobSource(source) };
  const files = listedFiles(source);
  if (files !== undefined) {
    const [only] = files;
    if (only !== undefined && files.length === 1) return { file: blobSource(only) };
    return { folder: filesFolder(files) };
  }
  if (typeof source === "object" && source !== null) {
    if ("read" in source) return { file: source };
    if ("open" in source) return { folder: source };
    if ("getFileHandle" in source) return { folder: directoryFolder(source) };
    if ("repository" in source) return openUrl(`${hubAddress(source)}${source.file ?? ""}`);
  }
  const rule = "an address, files, a folder, a hub repository or something to read from";
  throw new InvalidOptionError("source", source, rule);
}
