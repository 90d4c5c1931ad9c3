import type { ByteSource } from "../index.ts";
import { openUrlSource } from "../index.ts";
import { openFileSource } from "./file-source.ts";

/** Options that every command with a model has. */
export const MODEL_OPTIONS = {
  model: { type: "string" },
  json: { type: "boolean" },
} as const;

/** `owner/repository/path.gguf`, with an optional `@revision` after the repository. */
const HUB_ID = /^([\w.-]+\/[\w.-]+?)(?:@([\w./-]+?))?\/([\w./-]+\.gguf)$/;

/** Open a model by path, URL or hub id; a path that exists wins over a hub id. */
export async function openModel(model: string): Promise<ByteSource> {
  if (/^https?:\/\//.test(model)) return openUrlSource(model);
  const hub = HUB_ID.exec(model);
  try {
    return await openFileSource(model);
  } catch (error) {
    if (hub === null) throw error;
  }
  const [, repository, revision = "main", path] = hub;
  return openUrlSource(`https://huggingface.co/${repository}/resolve/${revision}/${path}`);
}
