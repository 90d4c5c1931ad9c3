import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { openRequired } from "../formats/folder.ts";
import { urlFolder } from "../hub/folders.ts";
import { hubAddress, type HubModel } from "../hub/hub-repository.ts";
import type { ByteSource, ModelSource, QuantizedWeights } from "../index.ts";
import { InvalidOptionError, openUrlSource, SourceError } from "../index.ts";
import { type Args, UsageError } from "./args.ts";
import { DEFAULT_MODEL_PATH } from "./fetch-model.ts";
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

/** `owner/repository`, with an optional `@revision`, and with the path of a GGUF file where it isn't the whole. */
const HUB_ID = /^([\w.-]+\/[\w.-]+?)(?:@([\w./-]+?))?(?:\/([\w./-]+\.gguf))?$/;

/** What the hub has under a name; undefined where it can have nothing of that name, as for `../model`. */
function hubModel(model: string): HubModel | undefined {
  const [, repository, revision, file] = HUB_ID.exec(model) ?? [];
  if (repository === undefined) return undefined;
  if (file === undefined && model.endsWith(".gguf")) return undefined;
  const hub = { repository, ...(revision && { revision }), ...(file && { file }) };
  try {
    hubAddress(hub);
    return hub;
  } catch (error) {
    if (error instanceof InvalidOptionError) return undefined;
    throw error;
  }
}

/**
 * Find a model by the path of a GGUF file or of a folder with Hugging Face's files, a URL (a folder's ends in "/"), or a
 * hub id of either kind; a path that exists wins over a hub id.
 * @throws SourceError
 */
export async function findModel(model: string): Promise<ModelSource> {
  if (/^https?:\/\/.*\/$/.test(model)) return model;
  const stats = await stat(model).catch((error: NodeJS.ErrnoException) => error);
  if (!(stats instanceof Error) && stats.isDirectory()) return diskFolder(model);
  const hub = hubModel(model);
  const isMissing = stats instanceof Error && stats.code === "ENOENT";
  if (!isMissing || hub === undefined || hub.file !== undefined) return openModel(model);
  const folder = urlFolder(hubAddress(hub));
  // Every model there has this file; where it can't be had, the name may as well be a mistyped path.
  await openRequired(folder, "config.json").catch(noPathNorHubId(model));
  return folder;
}

/**
 * Open a GGUF file by path, URL or hub id; a path that exists wins over a hub id.
 * @throws SourceError
 */
export async function openModel(model: string): Promise<ByteSource> {
  if (/^https?:\/\//.test(model)) return openUrlSource(model);
  const hub = hubModel(model);
  try {
    return await openFileSource(model);
  } catch (error) {
    const missing =
      ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
    if (missing && resolve(model) === DEFAULT_MODEL_PATH) throw notFetched(model, error);
    if (hub?.file === undefined || !missing) throw error;
  }
  return openUrlSource(`${hubAddress(hub)}${hub.file}`).catch(noPathNorHubId(model));
}

function notFetched(model: string, cause: unknown): SourceError {
  const advice = "get it with `npm run fetch-model` in a checkout, or name another with --model";
  return new SourceError(model, `the default model is not there; ${advice}`, { cause });
}

/** Throws that a model is neither on disk nor at the hub. */
function noPathNorHubId(model: string): (cause: unknown) => never {
  return (cause) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SourceError(model, `there is no such file, and as a hub id: ${why}`, { cause });
  };
}

/** Nothing reads a model any more: close its file, if it is one. */
export async function closeModel(source: ModelSource): Promise<void> {
  if (typeof source === "object" && "close" in source) await (source as FileSource).close();
}
