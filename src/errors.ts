/** Stable string that identifies an error class, also across a worker boundary. */
export type ErrorCode =
  | "webgpu-unavailable"
  | "unsupported-device"
  | "gpu-out-of-memory"
  | "device-lost"
  | "shader"
  | "model-format"
  | "unsupported-model"
  | "invalid-option"
  | "context-length"
  | "source"
  | "chat-template"
  | "session-format"
  | "worker"
  | "remote"
  | "module-load";

/** Names as they are in the source: a minifier changes those of the classes. */
const NAMES: Record<ErrorCode, string> = {
  "webgpu-unavailable": "WebGpuUnavailableError",
  "unsupported-device": "UnsupportedDeviceError",
  "gpu-out-of-memory": "GpuOutOfMemoryError",
  "device-lost": "DeviceLostError",
  shader: "ShaderError",
  "model-format": "ModelFormatError",
  "unsupported-model": "UnsupportedModelError",
  "invalid-option": "InvalidOptionError",
  "context-length": "ContextLengthError",
  source: "SourceError",
  "chat-template": "ChatTemplateError",
  "session-format": "SessionFormatError",
  worker: "WorkerError",
  remote: "RemoteError",
  "module-load": "ModuleLoadError",
};

/** Base of every error that Ziggurat throws on purpose; anything else that escapes is a bug. */
export abstract class LlmError extends Error {
  abstract readonly code: ErrorCode;
  override get name(): string {
    // While it is constructed (for its stack) it has no code yet.
    return NAMES[this.code] ?? this.constructor.name;
  }
}

/** Why WebGPU cannot be used at all. */
export type WebGpuMissing = "insecure-context" | "no-webgpu" | "no-adapter" | "no-device";

/** There is no `navigator.gpu`, no adapter, or no device to be had of it, or the page is not a secure context. */
export class WebGpuUnavailableError extends LlmError {
  readonly code = "webgpu-unavailable";
  readonly reason: WebGpuMissing;
  constructor(reason: WebGpuMissing, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The adapter lacks a feature or a limit that the model needs. */
export class UnsupportedDeviceError extends LlmError {
  readonly code = "unsupported-device";
  readonly requirement: string;
  readonly required: string | number;
  readonly actual: string | number;
  constructor(requirement: string, required: string | number, actual: string | number) {
    super(
      `this GPU offers ${requirement} = ${actual}, but ${required} is needed; ` +
        `use a smaller model or another adapter`,
    );
    this.requirement = requirement;
    this.required = required;
    this.actual = actual;
  }
}

/** A prompt and a cache that are smaller than those that did not fit; `engine.setCache` takes `cache`. */
export interface SmallerPlan {
  /** Tokens of the prompt: all of them, where a smaller cache is enough. */
  readonly promptTokens: number;
  readonly cache: {
    readonly policy: "streaming-llm" | "snapkv" | "pyramidkv" | "tova" | "knorm" | "ada-kv";
    /** Mean rows per layer and KV head. */
    readonly budget: number;
  };
  /** What it takes at its highest point beside the model; so much could be had. */
  readonly bytes: number;
}

/** `LoadOptions.weights` with which a model would have fitted that did not. */
export interface SmallerWeights {
  readonly weights: "q4" | "q8";
  /** What loading takes at its highest point then; so much could be had. */
  readonly bytes: number;
}

/** What is known of memory that ran out, beside the bytes. */
export interface OutOfMemoryFacts extends ErrorOptions {
  readonly smaller?: SmallerPlan;
  readonly smallerWeights?: SmallerWeights;
  readonly availableBytes?: number;
}

/** A GPU buffer could not be allocated. */
export class GpuOutOfMemoryError extends LlmError {
  readonly code = "gpu-out-of-memory";
  readonly label: string;
  readonly bytes: number;
  readonly allocatedBytes: number;
  /** What would have fitted, where a prompt did not. */
  readonly smaller: SmallerPlan | undefined;
  /** What would have fitted, where a model with floats did not. */
  readonly smallerWeights: SmallerWeights | undefined;
  /** Where a model did not fit: bytes that could be had a moment later (to a 32nd of `bytes`). */
  readonly availableBytes: number | undefined;
  constructor(label: string, bytes: number, allocatedBytes: number, facts: OutOfMemoryFacts = {}) {
    super(
      `the GPU could not allocate ${bytes} bytes for "${label}" beside the ${allocatedBytes} bytes ` +
        `in use; ${memoryAdvice(facts)}`,
      facts,
    );
    this.label = label;
    this.bytes = bytes;
    this.allocatedBytes = allocatedBytes;
    this.smaller = facts.smaller;
    this.smallerWeights = facts.smallerWeights;
    this.availableBytes = facts.availableBytes;
  }
}

function memoryAdvice({ smaller, smallerWeights, availableBytes }: OutOfMemoryFacts): string {
  if (smaller !== undefined) {
    const { promptTokens, cache, bytes } = smaller;
    const prompt = `${promptTokens} tokens with the cache ${cache.policy}`;
    return `${prompt} and a budget of ${cache.budget} would fit (${bytes} bytes)`;
  }
  if (availableBytes === undefined) {
    return "lower the context or the cache budget, or close other GPU users";
  }
  const advice =
    smallerWeights === undefined
      ? "use a smaller model, or close other GPU users"
      : `with weights: "${smallerWeights.weights}" it would fit (${smallerWeights.bytes} bytes)`;
  return `${availableBytes} could be had: ${advice}`;
}

/**
 * The GPU device was lost (driver reset, removed GPU, a watchdog), and so were those that took its place. The
 * next call tries again with another one.
 */
export class DeviceLostError extends LlmError {
  readonly code = "device-lost";
  readonly reason: string;
  /** What had come of the answer until then. */
  readonly text: string;
  constructor(reason: string, message: string, options?: ErrorOptions, text: string = "") {
    super(`the GPU device was lost (${reason}): ${message || "no message"}; try again`, options);
    this.reason = reason;
    this.text = text;
  }
}

/** A kernel was rejected, a GPU command was invalid, or results were not finite: our bug. */
export class ShaderError extends LlmError {
  readonly code = "shader";
  readonly kernel: string;
  readonly diagnostics: readonly string[];
  constructor(kernel: string, diagnostics: readonly string[], options?: ErrorOptions) {
    super(`kernel "${kernel}" failed:\n  ${diagnostics.join("\n  ")}`, options);
    this.kernel = kernel;
    this.diagnostics = diagnostics;
  }
}

/** The model file is broken, truncated or hostile. */
export class ModelFormatError extends LlmError {
  readonly code = "model-format";
  readonly file: string;
  readonly field: string;
  readonly expected: string;
  readonly got: string;
  constructor(file: string, field: string, expected: string, got: string, options?: ErrorOptions) {
    super(
      `${file}: ${field} should be ${expected}, got ${got}; the file is damaged or no model: ` +
        `fetch it again`,
      options,
    );
    this.file = file;
    this.field = field;
    this.expected = expected;
    this.got = got;
  }
}

/** The file is sound, but its architecture, quantisation or tokenizer is not built in. */
export class UnsupportedModelError extends LlmError {
  readonly code = "unsupported-model";
  readonly what: string;
  readonly supported: readonly string[];
  constructor(what: string, supported: readonly string[], options?: ErrorOptions) {
    super(`${what} is not supported; supported: ${supported.join(", ")}`, options);
    this.what = what;
    this.supported = supported;
  }
}

/** An option that the caller passed is out of its domain. */
export class InvalidOptionError extends LlmError {
  readonly code = "invalid-option";
  readonly option: string;
  readonly value: unknown;
  constructor(option: string, value: unknown, rule: string) {
    super(`${option} must be ${rule}, got ${String(value)}`);
    this.option = option;
    this.value = value;
  }
}

/** Prompt and new tokens together are longer than the model's context. */
export class ContextLengthError extends LlmError {
  readonly code = "context-length";
  readonly tokens: number;
  readonly limit: number;
  constructor(tokens: number, limit: number, what: string) {
    super(`${what} needs ${tokens} tokens, but the context holds ${limit}; shorten it`);
    this.tokens = tokens;
    this.limit = limit;
  }
}

/** A model could not be fetched, read, verified or stored. */
export class SourceError extends LlmError {
  readonly code = "source";
  readonly source: string;
  constructor(source: string, message: string, options?: ErrorOptions) {
    super(`${source}: ${message}`, options);
    this.source = source;
  }
}

/** The model's chat template is broken, runs too long or writes too much. */
export class ChatTemplateError extends LlmError {
  readonly code = "chat-template";
}

/** A saved session is damaged, of another version, or of another model or cache than this engine's. */
export class SessionFormatError extends LlmError {
  readonly code = "session-format";
  readonly field: string;
  readonly expected: string;
  readonly got: string;
  constructor(field: string, expected: string, got: string, options?: ErrorOptions) {
    super(
      `the saved session cannot be opened here: ${field} should be ${expected}, got ${got}; ` +
        `read its text again`,
      options,
    );
    this.field = field;
    this.expected = expected;
    this.got = got;
  }
}

/** The worker that an engine lives in failed to start, crashed or was ended. */
export class WorkerError extends LlmError {
  readonly code = "worker";
  constructor(what: string, options?: ErrorOptions) {
    super(`${what}; make a new worker and load the model in it`, options);
  }
}

/** A server that answers in this device's place refused, failed, or broke off. */
export class RemoteError extends LlmError {
  readonly code = "remote";
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** What had come of the answer until then. */
  readonly text: string;
  constructor(message: string, status: number | undefined, text: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.text = text;
  }
}

/** A part of the library that is loaded when it is first needed could not be loaded. */
export class ModuleLoadError extends LlmError {
  readonly code = "module-load";
  /** What the part is for. */
  readonly part: string;
  constructor(part: string, options?: ErrorOptions) {
    super(
      `the code for ${part} could not be loaded (${String(options?.cause)}); check the connection, and that every ` +
        `file of the build is served, also those of the version that this page was opened with; then load the page again`,
      options,
    );
    this.part = part;
  }
}
