import { stat } from "node:fs/promises";
import type { ByteSource, ModelSource, QuantizedWeights } from "../index.ts";
import { openUrlSource, SourceError } from "../index.ts";
import { type Args, UsageError } from "./args.ts";
import { diskFolder, type FileSource, openFileSource } from "./file-source.ts";

/** Options that every command with a model has. */
export const MODEL_OPTIONS = {
  model: { type: "string" },
  json: { type: "boolean" },
  weights: { type: "string" },
} as const;

/** What `--weights` asks floats to be quantised to. @throws UsageError */
export function weightsOption(args: Args): QuantizedWeights | undefined {
  const weights = args.text("weights");
  if (weights === undefined || weights === "q4" || weights === "q8") return weights;
  throw new UsageError(`--weights wants q4 or q8, got "${weights}"`);
}

/** `owner/repository/path.gguf`, with an optional `@revision` after the repository. */
const HUB_ID = /^([\w.-]+\/[\w.-]+?)(?:@([\w./-]+?))?\/([\w./-]+\.gguf)$/;

/** `owner/repository`, with an optional `@revision`: Hugging Face's files of it. */
const HUB_REPOSITORY = /^([\w.-]+\/[\w.-]+?)(?:@([\w./-]+))?$/;

/**
 * Find a model by the path of a GGUF file or of a folder with Hugging Face's files, a URL (a folder's ends in "/"), or a
 * hub id of either kind; a path that exists wins over a hub id.
 * @throws SourceError
 */
export async function findModel(model: string): Promise<ModelSource> {
  if (/^https?:\/\/.*\/$/.test(model)) return model;
  const stats = await stat(model).catch(() => undefined);
  if (stats?.isDirectory()) return diskFolder(model);
  const [, repository, revision] = HUB_REPOSITORY.exec(model) ?? [];
  if (stats !== undefined || repository === undefined || model.endsWith(".gguf")) {
    return openModel(model);
  }
  return { repository, ...(revision && { revision }) };
}

/**
 * Open a GGUF file by path, URL or hub id; a path that exists wins over a hub id.
 * @throws SourceError
 */
export async function openModel(model: string): Promise<ByteSource> {
  if (/^https?:\/\//.test(model)) return openUrlSource(model);
  const hub = HUB_ID.exec(model);
  try {
    return await openFileSource(model);
  } catch (error) {
    const missing =
      ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
    if (hub === null || !missing) throw error;
  }
  const [, repository, revision = "main", path] = hub;
  const url = `https://huggingface.co/${repository}/resolve/${revision}/${path}`;
  return openUrlSource(url).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SourceError(model, `there is no such file, and as a hub id: ${why}`, { cause });
  });
}

/** Nothing reads a model any more: close its file, if it is one. */
export async function closeModel(source: ModelSource): Promise<void> {
  if (typeof source === "object" && "close" in source) await (source as FileSource).close();
}
