import { timeAnswers } from "./answer.ts";
import { nativeImport } from "./native-import.ts";
import { type PeerRequest, writeMessage } from "./protocol.ts";

const ENTRY = "node_modules/node-llama-cpp/dist/index.js";

/** The part of the package that is used here. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    readonly gpu: string | false;
    getGpuDeviceNames(): Promise<string[]>;
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(ids: readonly number[], options: object): AsyncIterable<number>;
}

/** ggml's threads spin at every barrier, and the driver's threads want the cores. */
const THREADS = 1;

/** Times node-llama-cpp with its Vulkan backend; argument: a `PeerRequest` in JSON. */
export async function main([json = ""]: readonly string[]): Promise<number> {
  const request = JSON.parse(json) as PeerRequest;
  const { getLlama } = (await nativeImport(request.folder, ENTRY)) as NodeLlamaCpp;
  const log: string[] = [];
  const llama = await getLlama({
    gpu: "vulkan",
    build: "never",
    progressLogs: false,
    vramPadding: 0,
    maxThreads: THREADS,
    logLevel: "debug",
    logger: (_level: string, message: string) => void log.push(message),
  });
  const model = await llama.loadModel({ modelPath: request.model, gpuLayers: "max" });
  const longest = Math.max(...request.prompts.map((ids) => ids.length));
  const context = await model.createContext({
    contextSize: longest + request.newTokens,
    threads: THREADS,
    batchSize: 512,
  });
  const sequence = context.getSequence();
  const [device] = await llama.getGpuDeviceNames();
  // It says "vulkan" also where it skipped the device and keeps everything on the CPU.
  if (device === undefined || !/Vulkan\d+ KV buffer size/.test(log.join("\n"))) {
    throw new Error("its Vulkan backend did not take the adapter");
  }
  writeMessage({ device: `Vulkan, ${device}` });
  await timeAnswers(request, async (ids, newTokens, onToken) => {
    await sequence.clearHistory();
    let count = 0;
    for await (const id of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      onToken(Number(id));
      if (++count === newTokens) break;
    }
  });
  return 0;
}
