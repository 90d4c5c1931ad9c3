/** The public API of Ziggurat: re-exports only. */
export * from "./errors.ts";
export { openAi } from "./api/openai.ts";
export type * from "./api/openai-types.ts";
export { createWorkerEngine, type WorkerLoadOptions } from "./api/worker-client.ts";
export type { WorkerLike } from "./api/worker-link.ts";
export { loadEngine } from "./engine/load.ts";
export type { ModelSource } from "./hub/open-source.ts";
export type * from "./engine/generate-types.ts";
export type * from "./engine/memory-types.ts";
export type * from "./engine/types.ts";
export type { ByteSource } from "./formats/byte-source.ts";
export type { ModelFolder } from "./formats/folder.ts";
export { isSoftwareAdapter, NEEDED_LIMITS } from "./gpu/adapter.ts";
export { preferLocal, type PreferLocalOptions, type PreferredEngine } from "./api/prefer-local.ts";
export { remoteEngine, type RemoteEngineOptions } from "./api/remote-engine.ts";
export { createSession, restoreSession, type Addition, type Session } from "./api/session.ts";
export type { BufferPurpose } from "./gpu/buffers.ts";
export type { HttpOptions } from "./hub/http-range.ts";
export type { DownloadOptions } from "./hub/download.ts";
export type { DownloadProgress } from "./hub/progress.ts";
export type { CheckOptions } from "./hub/stored-file.ts";
export { hubAddress, type HubModel } from "./hub/hub-repository.ts";
export {
  type ModelStore,
  modelStore,
  type StoreDownloadOptions,
  type StoredFile,
} from "./hub/model-store.ts";
export type { StoreBackend } from "./hub/store-backend.ts";
export { blobSource, bufferSource, openUrlSource } from "./hub/sources.ts";
export type { RopeStyle } from "./model/architectures.ts";
export type { QuantizedWeights } from "./formats/tensor-types.ts";
export type { ModelConfig } from "./model/config.ts";
export type { MatrixReport } from "./model/matrix-upload.ts";
export type { Llama3RopeScaling } from "./model/rope.ts";
export type { KvDtype } from "./cache/layout.ts";
export type { TokenScore, TokenScores } from "./cache/kept-scores.ts";
export type { CacheOptions, ScorePool } from "./cache/options.ts";
export type { PolicyName } from "./cache/policy.ts";
export type { SamplingOptions } from "./sampling/options.ts";
export type { ChatMessage } from "./text/chat-template.ts";
