import { GenerationStream } from "../engine/generation.ts";
import type {
  AnswerResult,
  FinishReason,
  GenerateOptions,
  Generation,
  Piece,
  Prompt,
  StepLogprobs,
  Usage,
} from "../engine/generate-types.ts";
import type { ChatEngine } from "../engine/types.ts";
import { InvalidOptionError, RemoteError } from "../errors.ts";
import { resolveSampling } from "../sampling/options.ts";
import { answerTimings, readChunk } from "./remote-chunk.ts";
import { remoteEvents } from "./remote-stream.ts";

/** Where the server is, and what it is to run. */
export interface RemoteEngineOptions {
  /** The address that `/chat/completions` is added to: `http://localhost:8000/v1`. */
  readonly baseURL: string | URL;
  /** The name under which the server knows the model. */
  readonly model: string;
  /** Sent as a bearer token. Whoever opens the page can read it: keep secrets on a server of yours. */
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers from a server that speaks OpenAI's protocol (vLLM, llama.cpp, and many more), behind the
 * same interface as an engine on this device. Nothing is sent before `generate` is called.
 *
 * `topK`, `minP` and `repetitionPenalty` are no part of the protocol: they are sent, under the names
 * that vLLM and llama.cpp know, only where they are set. `onPrefill` is never called: no server tells.
 * Token ids are not told either, so those of the pieces are empty. Log-probabilities are what the
 * server makes of them.
 * @throws InvalidOptionError
 */
export function remoteEngine(options: RemoteEngineOptions): ChatEngine {
  const base = baseAddress(options.baseURL);
  if (typeof options.model !== "string" || options.model === "") {
    throw new InvalidOptionError("model", options.model, "the name of a model on the server");
  }
  const { model, apiKey } = options;
  const headers = {
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    ...options.headers,
  };
  const destroyed = new AbortController();

  async function* answer(
    prompt: Prompt,
    generate: GenerateOptions,
  ): AsyncGenerator<Piece, AnswerResult> {
    const { endpoint, body } = requestFor(prompt, generate);
    const broken = new AbortController();
    const signals = [
      destroyed.signal,
      broken.signal,
      ...(generate.signal ? [generate.signal] : []),
    ];
    const signal = AbortSignal.any(signals);
    signal.throwIfAborted();
    const asksLogprobs = generate.logprobs !== undefined;
    const started = performance.now();
    const url = `${base}${endpoint}`;
    let text = "";
    const logprobs: StepLogprobs[] = [];
    let finishReason: FinishReason | undefined;
    let usage: Usage | undefined;
    let [firstAt, lastAt] = [started, started];
    try {
      for await (const event of remoteEvents({ url, headers, body: { model, ...body }, signal })) {
        const chunk = readChunk(event, url);
        usage = chunk.usage ?? usage;
        finishReason = chunk.finishReason ?? finishReason;
        if (chunk.text === "" && chunk.logprobs.length === 0) continue;
        lastAt = performance.now();
        if (text === "") firstAt = lastAt;
        text += chunk.text;
        logprobs.push(...chunk.logprobs);
        const told = asksLogprobs ? { logprobs: chunk.logprobs } : {};
        yield { text: chunk.text, tokenIds: [], ...told };
      }
      signal.throwIfAborted();
      if (finishReason === undefined) {
        throw new RemoteError(
          `${url} broke off before the answer was complete; ask again`,
          200,
          "",
        );
      }
      if (asksLogprobs && text !== "" && logprobs.length === 0) {
        const advice = "leave out logprobs, or let the server tell them";
        throw new RemoteError(`${url} told no log-probabilities; ${advice}`, 200, "");
      }
      return {
        text,
        ...(asksLogprobs ? { logprobs } : {}),
        finishReason,
        usage,
        timings: answerTimings(usage, started, firstAt, lastAt),
      };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      throw new RemoteError(error.message, error.status, text, { cause: error });
    } finally {
      broken.abort(); // whoever breaks off stops the server, too
    }
  }

  return {
    generate: (prompt, generate = {}): Generation<AnswerResult> =>
      new GenerationStream(answer(prompt, generate)),
    destroy() {
      destroyed.abort(new DOMException("the engine was destroyed", "AbortError"));
      return Promise.resolve();
    },
  };
}

function baseAddress(baseURL: string | URL): string {
  const rule = "an http(s) address, such as http://localhost:8000/v1";
  if (!URL.canParse(String(baseURL))) throw new InvalidOptionError("baseURL", baseURL, rule);
  const { protocol, href } = new URL(baseURL);
  if (!/^https?:$/.test(protocol)) throw new InvalidOptionError("baseURL", baseURL, rule);
  return href.replace(/\/+$/, "");
}

interface RequestParts {
  readonly endpoint: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The request of a call; its options are checked as those of a local engine are. */
function requestFor(prompt: Prompt, options: GenerateOptions): RequestParts {
  const sampling = resolveSampling(options);
  const { maxTokens, stop, topK, minP, repetitionPenalty, logprobs } = options;
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens > 0)) {
    throw new InvalidOptionError("maxTokens", maxTokens, "a whole number from 1");
  }
  const body = {
    stream: true,
    stream_options: { include_usage: true },
    temperature: sampling.temperature,
    top_p: sampling.topP,
    seed: sampling.seed,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(stop === undefined || stop.length === 0 ? {} : { stop }),
    ...(sampling.logitBias.length === 0 ? {} : { logit_bias: options.logitBias }),
    ...(sampling.frequencyPenalty === 0 ? {} : { frequency_penalty: sampling.frequencyPenalty }),
    ...(sampling.presencePenalty === 0 ? {} : { presence_penalty: sampling.presencePenalty }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(minP === undefined ? {} : { min_p: minP }),
    ...(repetitionPenalty === undefined
      ? {}
      : { repetition_penalty: repetitionPenalty, repeat_penalty: repetitionPenalty }),
  };
  const isChat = typeof prompt !== "string" && typeof prompt[0] !== "number";
  if (isChat) {
    const asked = logprobs === undefined ? {} : { logprobs: true, top_logprobs: logprobs };
    return { endpoint: "/chat/completions", body: { ...body, ...asked, messages: prompt } };
  }
  const asked = logprobs === undefined ? {} : { logprobs };
  return { endpoint: "/completions", body: { ...body, ...asked, prompt } };
}
