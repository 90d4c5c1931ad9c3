import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";
import { readGguf } from "../formats/gguf.ts";
import type { TensorFile } from "../formats/tensor-types.ts";
import { type ModelConfig, readModelConfig } from "./config.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { onDemand } from "../on-demand.ts";
import type { OpenSource } from "../hub/open-source.ts";

/** A model whose headers were read and are sound; the weights are still where they were. */
export interface OpenModel {
  /** Where the tensors are read from. */
  readonly source: ByteSource;
  readonly file: TensorFile;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
}

/**
 * Read everything of a model but its weights.
 * @throws SourceError, ModelFormatError, UnsupportedModelError; the signal's reason when aborted.
 */
export async function openModel(opened: OpenSource, signal?: AbortSignal): Promise<OpenModel> {
  const model = await ("file" in opened
    ? openGguf(opened.file, signal)
    : openFolder(opened.folder, signal));
  const { tokenizer, config, file } = model;
  if (tokenizer.vocabSize !== config.vocabSize) {
    const expected = `of ${tokenizer.vocabSize} rows, one for each token`;
    throw new ModelFormatError(file.name, '"token_embd.weight"', expected, `${config.vocabSize}`);
  }
  return model;
}

async function openFolder(folder: ModelFolder, signal?: AbortSignal): Promise<OpenModel> {
  const part = await onDemand("models in Hugging Face's files", () => import("./open-folder.ts"));
  return part.openFolder(folder, signal);
}

async function openGguf(source: ByteSource, signal?: AbortSignal): Promise<OpenModel> {
  const file = await readGguf(source, signal);
  const config = readModelConfig(file);
  return { source, file, config, tokenizer: createTokenizer(file.metadata, file.name) };
}
