import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { type ModelFolder, openRequired } from "../formats/folder.ts";
import type { JsonFields } from "../formats/json-fields.ts";
import { readJsonFile, readText } from "../formats/json-file.ts";
import { openSafetensors } from "../formats/safetensors-model.ts";
import { readHfVocabulary } from "../text/hf-vocabulary.ts";
import { tokenizerOf } from "../text/tokenizer.ts";
import { readHfConfig } from "./hf-config.ts";
import { hfTensors } from "./hf-tensors.ts";
import type { OpenModel } from "./open-model.ts";

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const MAX_TOKENIZER_BYTES = 64 * 1024 * 1024;

/**
 * Read everything of a model in Hugging Face's files but its weights.
 * @throws SourceError, ModelFormatError, UnsupportedModelError; the signal's reason when aborted.
 */
export async function openFolder(folder: ModelFolder, signal?: AbortSignal): Promise<OpenModel> {
  const config = await readObject(
    await openRequired(folder, "config.json", signal),
    MAX_CONFIG_BYTES,
    signal,
  );
  const shape = readHfConfig(config, folder.name);
  const optional = async (path: string): Promise<JsonFields> => {
    const source = await folder.open(path, signal);
    return source ? readObject(source, MAX_CONFIG_BYTES, signal) : { file: path, object: {} };
  };
  const tokenizerSource = await openRequired(folder, "tokenizer.json", signal);
  const tokenizerConfig = await optional("tokenizer_config.json");
  const vocabulary = readHfVocabulary(
    {
      tokenizer: await readObject(tokenizerSource, MAX_TOKENIZER_BYTES, signal),
      tokenizerConfig,
      generationConfig: await optional("generation_config.json"),
      config,
    },
    shape.config.vocabSize,
  );
  const template = await readTemplate(folder, tokenizerConfig, signal);
  const { source, tensors } = await openSafetensors(folder, signal);
  return {
    source,
    file: hfTensors(folder.name, tensors, shape.config, shape.isTied),
    config: shape.config,
    tokenizer: tokenizerOf(vocabulary, template),
  };
}

async function readObject(
  source: ByteSource,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<JsonFields> {
  return { file: source.name, object: await readJsonFile(source, maxBytes, signal) };
}

/** `chat_template.jinja`, or what `tokenizer_config.json` has: a template, or a list of named ones. */
async function readTemplate(
  folder: ModelFolder,
  { object }: JsonFields,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const own = await folder.open("chat_template.jinja", signal);
  if (own !== undefined) {
    if (own.size <= MAX_CONFIG_BYTES) return readText(own, {}, signal);
    const expected = `at most ${MAX_CONFIG_BYTES} bytes long`;
    throw new ModelFormatError(own.name, "the template", expected, String(own.size));
  }
  const templates = object["chat_template"];
  if (typeof templates === "string") return templates;
  if (!Array.isArray(templates)) return undefined;
  const named = templates.find((entry: { name?: unknown } | null) => entry?.name === "default");
  const template: unknown = named?.template;
  return typeof template === "string" ? template : undefined;
}
