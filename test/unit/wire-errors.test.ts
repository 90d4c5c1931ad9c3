import { expect, test } from "vitest";
import * as errors from "../../src/errors.ts";
import { packError, unpackError } from "../../src/api/wire-errors.ts";

const travel = (thrown: unknown): unknown => unpackError(structuredClone(packError(thrown)));

const OWN = [
  new errors.WebGpuUnavailableError("no-adapter", "WebGPU found no usable GPU"),
  new errors.UnsupportedDeviceError("maxBufferSize", 2, 1),
  new errors.GpuOutOfMemoryError("weights", 100, 50, {
    availableBytes: 70,
    smallerWeights: { weights: "q4", bytes: 60 },
  }),
  new errors.DeviceLostError("unknown", "driver reset"),
  new errors.ShaderError("rope", ["3:4 wrong", "4:4 wrong"]),
  new errors.ModelFormatError("a.gguf", "magic", "GGUF", "PK"),
  new errors.UnsupportedModelError('architecture "gpt9"', ["llama"]),
  new errors.InvalidOptionError("maxTokens", 0, "positive"),
  new errors.ContextLengthError(9000, 8192, "the prompt"),
  new errors.SourceError("models/a.gguf", "answered 404"),
  new errors.ChatTemplateError("the template loops"),
  new errors.SessionFormatError("its version", "1", "2"),
  new errors.WorkerError("the worker was ended"),
  new errors.RemoteError("the server answered 500", 500, "what came before"),
  new errors.ModuleLoadError("scoring", { cause: new TypeError("not fetched") }),
];

test("every class of ours is tried", () => {
  const classes = Object.values(errors).filter((value) => value !== errors.LlmError);
  expect(new Set(OWN.map((error) => error.constructor))).toEqual(new Set(classes));
});

test.each(OWN)("%s has its class's name", (error) => {
  expect(error.name).toBe(error.constructor.name);
});

test.each(OWN)("%s keeps class, message, stack, code and fields", (error) => {
  const arrived = travel(error) as errors.LlmError;
  expect(arrived).toBeInstanceOf(error.constructor);
  expect(arrived).toBeInstanceOf(errors.LlmError);
  expect(Object.prototype.toString.call(arrived)).toBe("[object Error]");
  expect({ ...arrived }).toEqual({ ...error });
  for (const field of ["name", "code", "message", "stack"] as const) {
    expect(arrived[field]).toBe(error[field]);
  }
});

test("so do the platform's, with their causes", () => {
  const error = new RangeError("too far", { cause: new SyntaxError("why", { cause: 3 }) });
  const arrived = travel(error) as Error;
  expect(arrived).toBeInstanceOf(RangeError);
  expect(arrived).toEqual(error);
  expect(arrived.cause).toBeInstanceOf(SyntaxError);
  const abort = travel(new DOMException("stopped", "AbortError"));
  expect(abort).toBeInstanceOf(DOMException);
  expect(abort).toMatchObject({ name: "AbortError", message: "stopped" });
});

test("what is no error comes as it is, and what can't be cloned by its text", () => {
  expect(travel("text")).toBe("text");
  expect(travel(undefined)).toBe(undefined);
  const odd = travel(new errors.InvalidOptionError("gpu", () => 1, "left out"));
  expect(odd).toMatchObject({ option: "gpu", value: "() => 1" });
});

test("a chain of causes that goes in a circle ends", () => {
  const error: Error & { cause?: unknown } = new Error("round");
  error.cause = error;
  expect((travel(error) as Error).message).toBe("round");
});
