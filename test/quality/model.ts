import { resolveCacheOptions } from "../../src/cache/options.ts";
import { openFileSource } from "../../src/cli/file-source.ts";
import { createRuntime, type Runtime } from "../../src/engine/runtime.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { openGpu } from "../../src/gpu/device.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

/** A model without the engine around it, so that caches can be exchanged under one prefill. */
export interface Model {
  readonly name: string;
  readonly runtime: Runtime;
  readonly tokenizer: Tokenizer;
  destroy(): void;
}

export async function openQualityModel(gpu: GPU, path: string): Promise<Model> {
  const source = await openFileSource(path);
  const context = await openGpu({ gpu });
  try {
    const file = await readGguf(source);
    const config = readModelConfig(file);
    const cache = resolveCacheOptions({}, config.numLayers);
    const runtime = await createRuntime(context, source, file, config, { cache, onBytes() {} });
    const tokenizer = createTokenizer(file.metadata, file.name);
    return { name: config.name, runtime, tokenizer, destroy: () => context.destroy() };
  } catch (error) {
    context.destroy();
    throw error;
  } finally {
    await source.close();
  }
}
