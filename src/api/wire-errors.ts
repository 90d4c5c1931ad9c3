import {
  ChatTemplateError,
  ContextLengthError,
  DeviceLostError,
  type ErrorCode,
  GpuOutOfMemoryError,
  InvalidOptionError,
  LlmError,
  ModelFormatError,
  ModuleLoadError,
  RemoteError,
  SessionFormatError,
  ShaderError,
  SourceError,
  UnsupportedDeviceError,
  UnsupportedModelError,
  WebGpuUnavailableError,
  WorkerError,
} from "../errors.ts";

/** A class whose instances are made without its constructor. */
type ErrorClass = abstract new (...args: never[]) => Error;

const OWN: Record<ErrorCode, ErrorClass> = {
  "webgpu-unavailable": WebGpuUnavailableError,
  "unsupported-device": UnsupportedDeviceError,
  "gpu-out-of-memory": GpuOutOfMemoryError,
  "device-lost": DeviceLostError,
  shader: ShaderError,
  "model-format": ModelFormatError,
  "unsupported-model": UnsupportedModelError,
  "invalid-option": InvalidOptionError,
  "context-length": ContextLengthError,
  source: SourceError,
  "chat-template": ChatTemplateError,
  "session-format": SessionFormatError,
  worker: WorkerError,
  remote: RemoteError,
  "module-load": ModuleLoadError,
};

const PLATFORM: Record<string, ErrorClass> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** A thrown value as data that every browser can clone (some cannot clone errors with fields). */
export type WireError =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "dom"; readonly name: string; readonly message: string }
  | {
      readonly kind: "error";
      /** The code of one of our classes, or the name of one of the platform's. */
      readonly type: string;
      readonly message: string;
      readonly stack: string | undefined;
      readonly fields: Readonly<Record<string, unknown>>;
      readonly cause: WireError | undefined;
    };

/** Causes of causes that are carried. */
const MAX_CAUSES = 4;

/** A thrown value, ready for another thread. */
export function packError(thrown: unknown, causes: number = MAX_CAUSES): WireError {
  if (thrown instanceof DOMException) {
    return { kind: "dom", name: thrown.name, message: thrown.message };
  }
  if (!(thrown instanceof Error)) return { kind: "value", value: cloneable(thrown) };
  const { message, stack, cause } = thrown;
  const fields = Object.entries(thrown).map(([name, value]) => [name, cloneable(value)]);
  return {
    kind: "error",
    type: thrown instanceof LlmError ? thrown.code : thrown.name,
    message,
    stack,
    fields: Object.fromEntries(fields) as Record<string, unknown>,
    cause: cause === undefined || causes === 0 ? undefined : packError(cause, causes - 1),
  };
}

/** The error again: of the same class, with the same code and fields, and the other thread's stack. */
export function unpackError(wire: WireError): unknown {
  if (wire.kind === "value") return wire.value;
  if (wire.kind === "dom") return new DOMException(wire.message, wire.name);
  const { type, message, stack, fields, cause } = wire;
  const ErrorType = OWN[type as ErrorCode] ?? PLATFORM[type] ?? Error;
  const options = cause === undefined ? undefined : { cause: unpackError(cause) };
  // A real error of that class whose message is made already.
  const error = Reflect.construct(Error, [message, options], ErrorType) as Error;
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, fields);
}

/** Anything may be passed as an option, so anything may be in an error: what cannot travel is named. */
function cloneable(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}
