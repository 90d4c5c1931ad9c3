import { basename, dirname } from "node:path";
import { timeAnswers } from "./answer.ts";
import { nativeImport } from "./native-import.ts";
import { type PeerRequest, writeMessage } from "./protocol.ts";

const ENTRY = "node_modules/@huggingface/transformers/dist/transformers.node.mjs";

/** The part of the package that is used here. */
interface TransformersJs {
  readonly env: Record<string, unknown>;
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: object): Promise<Model>;
  };
  readonly Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => object;
  readonly BaseStreamer: new () => object;
}

interface Model {
  generate(options: object): Promise<{ past_key_values?: Cache }>;
}

interface Cache {
  dispose(): Promise<void>;
}

/** Times transformers.js on WebGPU in Node; argument: a `PeerRequest` in JSON. */
export async function main([json = ""]: readonly string[]): Promise<number> {
  const request = JSON.parse(json) as PeerRequest;
  const { AutoModelForCausalLM, BaseStreamer, Tensor, env } = (await nativeImport(
    request.folder,
    ENTRY,
  )) as TransformersJs;
  Object.assign(env, {
    allowRemoteModels: false,
    localModelPath: dirname(request.model),
    useFSCache: false,
  });
  const model = await AutoModelForCausalLM.from_pretrained(basename(request.model), {
    device: "webgpu",
    dtype: request.dtype,
    // One thread for what the CPU does: the driver's threads want the cores.
    session_options: { intraOpNumThreads: 1, interOpNumThreads: 1 },
  });
  let place = "";
  const tensor = (ids: readonly bigint[]): object =>
    new Tensor("int64", BigInt64Array.from(ids), [1, ids.length]);
  await timeAnswers(request, async (ids, newTokens, onToken) => {
    class Streamer extends BaseStreamer {
      #isPrompt = true;
      put([tokens]: readonly (readonly bigint[])[]): void {
        if (!this.#isPrompt) for (const id of tokens ?? []) onToken(Number(id));
        this.#isPrompt = false;
      }
      end(): void {}
    }
    const { past_key_values: cache } = await model.generate({
      inputs: tensor(ids.map(BigInt)),
      attention_mask: tensor(ids.map(() => 1n)),
      max_new_tokens: newTokens,
      min_new_tokens: newTokens,
      do_sample: false,
      streamer: new Streamer(),
      return_dict_in_generate: true,
    });
    if (place === "") {
      place = placeOf(cache);
      // ONNX Runtime takes the CPU, without a word, for what its WebGPU backend lacks.
      if (place !== "gpu-buffer") throw new Error(`its cache lies in "${place}", not on the GPU`);
      writeMessage({ device: `WebGPU, ${request.dtype}` });
    }
    await cache?.dispose();
  });
  return 0;
}

/** Where a cache's tensors lie. */
function placeOf(cache: object | undefined): string {
  for (const tensor of Object.values(cache ?? {})) {
    const { location } = (tensor ?? {}) as { location?: string };
    if (location !== undefined) return location;
  }
  return "none";
}
