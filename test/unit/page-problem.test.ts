import { describe, expect, it } from "vitest";
import {
  describeAnswerProblem,
  describeLoadProblem,
  endsEngine,
  type Problem,
} from "../../demo/problem.ts";
import {
  ChatTemplateError,
  ContextLengthError,
  DeviceLostError,
  GpuOutOfMemoryError,
  InvalidOptionError,
  ModelFormatError,
  ModuleLoadError,
  SessionFormatError,
  ShaderError,
  SourceError,
  UnsupportedDeviceError,
  UnsupportedModelError,
  WebGpuUnavailableError,
  WorkerError,
} from "../../src/index.ts";

const ERRORS = [
  new WebGpuUnavailableError("no-adapter", "WebGPU found no usable GPU"),
  new UnsupportedDeviceError("maxBufferSize", 2, 1),
  new GpuOutOfMemoryError("weights", 100, 50),
  new DeviceLostError("unknown", "driver reset"),
  new ShaderError("rope", ["3:4 wrong"]),
  new ModelFormatError("a.gguf", "magic", "GGUF", "PK"),
  new UnsupportedModelError('architecture "gpt9"', ["llama"]),
  new InvalidOptionError("maxTokens", 0, "positive"),
  new ContextLengthError(9000, 8192, "the prompt"),
  new SourceError("models/a.gguf", "answered 404"),
  new ChatTemplateError("the template loops"),
  new WorkerError("the model's worker was ended"),
  new SessionFormatError("its version", "1", "2"),
  new ModuleLoadError("scoring", { cause: new TypeError("not fetched") }),
  new TypeError("x is undefined"),
  "a string",
];

function expectComplete(problem: Problem, error: unknown): void {
  const said = error instanceof Error ? error.message : String(error);
  expect(problem.happened.toLowerCase()).toContain(said.toLowerCase());
  for (const part of [problem.happened, problem.safe, problem.advice]) expect(part).toMatch(/\.$/);
  expect(problem.safe).toContain("onversation is kept");
  expect(problem.title).not.toBe("");
}

describe("problems as the page tells them", () => {
  it.each(ERRORS)("say what happened, what is safe and what to do: %s", (error) => {
    expectComplete(describeLoadProblem(error), error);
    expectComplete(describeAnswerProblem(error, true), error);
    expectComplete(describeAnswerProblem(error, false), error);
  });

  it("offer another file for a file that can't be used", () => {
    for (const error of ERRORS.slice(5, 7)) {
      expect(describeLoadProblem(error).remedy).toBe("choose-file");
    }
    expect(describeLoadProblem(new SourceError("a", "cut")).remedy).toBe("load-again");
  });

  it("say which model made room for one that failed, and to check an address", () => {
    const { safe, advice } = describeLoadProblem(new SourceError("a", "cut"), "tiny.gguf");
    expect(safe).toContain("tiny.gguf was unloaded");
    expect(describeLoadProblem(new SourceError("a", "cut")).safe).not.toContain("unloaded");
    expect(advice).toContain("check it");
  });

  it("give a question back that is too long by itself, and offer a new conversation otherwise", () => {
    const error = new ContextLengthError(9000, 8192, "the prompt");
    expect(describeAnswerProblem(error, true).remedy).toBe("shorten-question");
    expect(describeAnswerProblem(error, false).remedy).toBe("ask-in-new-conversation");
  });

  it("load again after what the engine doesn't outlive", () => {
    for (const error of ERRORS) {
      if (!endsEngine(error)) continue;
      expect(describeAnswerProblem(error, false).remedy).toBe("load-again");
    }
    expect(ERRORS.filter(endsEngine)).toEqual([...ERRORS.slice(2, 5), ERRORS[11]]);
  });

  it("leave file names and addresses as they are at the start of a sentence", () => {
    const { happened } = describeLoadProblem(new SourceError("models/a.gguf", "is gone"));
    expect(happened).toBe("models/a.gguf: is gone.");
    expect(describeLoadProblem(new ChatTemplateError("the template loops")).happened).toBe(
      "The template loops.",
    );
  });
});
