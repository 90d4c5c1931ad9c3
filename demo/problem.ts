import { LlmError } from "../src/index.ts";

/** What a button of a problem does. */
export type Remedy =
  | "load-again"
  | "load-with-less"
  | "choose-file"
  | "choose-model"
  | "answer-again"
  | "cut-document"
  | "shorten-question"
  | "ask-in-new-conversation";

/** An error as the page tells it: what happened, what is safe, what to do. */
export interface Problem {
  readonly title: string;
  readonly happened: string;
  readonly safe: string;
  readonly advice: string;
  readonly remedy: Remedy;
  /** Other ways out. */
  readonly others?: readonly Remedy[];
}

const CONVERSATION_SAFE = "The conversation is kept as it is.";
const CONVERSATION_KEPT = "The conversation is kept, with everything written so far.";

/**
 * What to tell when a model could not be loaded.
 * @param unloaded the model that made room for it, if one was there
 */
export function describeLoadProblem(error: unknown, unloaded?: string): Problem {
  const happened = messageOf(error);
  const before = unloaded === undefined ? "" : `${unloaded} was unloaded to make room. `;
  const safe = `${before}Nothing of it stays on the GPU. ${CONVERSATION_SAFE}`;
  if (!(error instanceof LlmError)) return unexpected(error, "load-again");
  switch (error.code) {
    case "model-format":
      return {
        title: "This file is damaged, or it is no model",
        happened,
        safe,
        advice: "Get the file again, or open another .gguf file.",
        remedy: "choose-file",
      };
    case "unsupported-model":
    case "chat-template":
      return {
        title: "This model isn’t supported",
        happened,
        safe,
        advice: "Open another .gguf file: one of the kinds named above.",
        remedy: "choose-file",
      };
    case "source":
      return {
        title: "The model file could not be read",
        happened,
        safe,
        advice:
          "If you wrote the address, check it. Then try again, or open a .gguf file from this " +
          "computer by dropping it on the page.",
        remedy: "load-again",
      };
    case "gpu-out-of-memory":
      return {
        title: "The GPU has no room for this model",
        happened,
        safe,
        advice: "Close other tabs and programs that use the GPU, then try again.",
        remedy: "load-again",
      };
    case "device-lost":
      return deviceLost(happened);
    case "webgpu-unavailable":
    case "unsupported-device":
      return {
        title: "The GPU can’t run this model",
        happened,
        safe,
        advice: "Try again, or open a smaller model.",
        remedy: "load-again",
      };
    case "worker":
      return workerEnded(happened);
    case "module-load":
      return partMissing(happened, "load-again");
    case "shader":
    case "invalid-option":
    case "context-length":
    case "session-format":
    case "remote":
      return unexpected(error, "load-again");
    default:
      return error.code satisfies never;
  }
}

/** What to tell when files turned out to be no model, before anything was loaded of them. */
export function describeRefusedFiles(error: unknown): Problem {
  const advice = "Open another one: a .gguf file, or safetensors files with their json files.";
  return { ...describeLoadProblem(error), advice, remedy: "choose-file" };
}

/**
 * What to tell when an answer failed.
 * @param isFirst the question stands alone: there is no conversation before it to leave out
 * @param hasDocument a document goes with it, which may be cut
 */
export function describeAnswerProblem(
  error: unknown,
  isFirst: boolean,
  hasDocument: boolean = false,
): Problem {
  const happened = messageOf(error);
  const remedy = isFirst ? "shorten-question" : "ask-in-new-conversation";
  const shorter = isFirst
    ? "Shorten the question and send it again."
    : "Ask it in a new conversation; this one can be brought back from there.";
  if (!(error instanceof LlmError)) return unexpected(error, "answer-again");
  switch (error.code) {
    case "context-length":
      return {
        title: "This is too long for the model",
        happened,
        safe: CONVERSATION_SAFE,
        advice: hasDocument ? `${shorter} Or let the end of the document be cut off.` : shorter,
        remedy,
        ...(hasDocument ? { others: ["cut-document"] } : {}),
      };
    case "gpu-out-of-memory":
      return {
        title: "The GPU ran out of memory",
        happened,
        safe: CONVERSATION_KEPT,
        advice:
          "Load the model again with half the cache and answer again, or ask for less at once.",
        remedy: "load-again",
        others: ["load-with-less"],
      };
    case "chat-template":
      return {
        title: "The model’s chat template can’t take this conversation",
        happened,
        safe: CONVERSATION_SAFE,
        advice: shorter,
        remedy,
      };
    case "invalid-option":
      return {
        title: "A setting is out of range",
        happened,
        safe: CONVERSATION_SAFE,
        advice: "Change the setting, then answer again.",
        remedy: "answer-again",
      };
    case "device-lost":
      return deviceLost(happened);
    case "worker":
      return workerEnded(happened);
    case "module-load":
      return partMissing(happened, "answer-again");
    case "source":
    case "model-format":
    case "unsupported-model":
    case "webgpu-unavailable":
    case "unsupported-device":
    case "session-format":
    case "remote":
      return unexpected(error, "answer-again");
    case "shader":
      return unexpected(error, "load-again");
    default:
      return error.code satisfies never;
  }
}

/** What to tell when cutting the document doesn't help: what goes with it fills the context alone. */
export function describeNoRoom(isFirst: boolean): Problem {
  return {
    title: "This is too long for the model",
    happened: isFirst
      ? "The question’s own words leave no room for its document."
      : "The conversation before it leaves no room for the document.",
    safe: `The document is whole. ${CONVERSATION_SAFE}`,
    advice: isFirst
      ? "Shorten the question and send it again."
      : "Ask it in a new conversation; this one can be brought back from there.",
    remedy: isFirst ? "shorten-question" : "ask-in-new-conversation",
  };
}

/** After these the engine answers no more: it has to be loaded again. */
export function endsEngine(error: unknown): boolean {
  if (!(error instanceof LlmError)) return false;
  return ["device-lost", "gpu-out-of-memory", "shader", "worker"].includes(error.code);
}

function deviceLost(happened: string): Problem {
  return {
    title: "The GPU was lost",
    happened,
    safe: CONVERSATION_KEPT,
    advice: "Load the model again and go on. If it happens again, restart the browser.",
    remedy: "load-again",
  };
}

function workerEnded(happened: string): Problem {
  return {
    title: "The model’s worker ended",
    happened,
    safe: CONVERSATION_KEPT,
    advice: "Load the model again and go on. If it happens again, close other pages.",
    remedy: "load-again",
  };
}

function partMissing(happened: string, remedy: Remedy): Problem {
  return {
    title: "A part of Ziggurat could not be loaded",
    happened,
    safe: CONVERSATION_KEPT,
    advice: "Check the connection and try again. If it stays, load this page again.",
    remedy,
  };
}

function unexpected(error: unknown, remedy: Remedy): Problem {
  return {
    title: "Something went wrong inside Ziggurat",
    happened: messageOf(error),
    safe: CONVERSATION_SAFE,
    advice: "This is a bug. Try again; if it stays, report it with the diagnostics of this page.",
    remedy,
  };
}

/** A sentence, begun (unless with a file's name or an address) and ended as one. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const begun = text.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase());
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
