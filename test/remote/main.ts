import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import {
  type AnswerResult,
  type ChatEngine,
  type GenerateOptions,
  type Prompt,
  RemoteError,
  remoteEngine,
} from "../../src/index.ts";
import { readGolden } from "../golden/format.ts";
import { type LlamaServer, startLlamaServer } from "./server.ts";

const MODEL = "public/models/SmolLM2-135M-Instruct-Q4_1.gguf";
const KEY = "a key for this run";
const HELLO = [{ role: "user", content: "Name three colours." }] as const;

/** What each check looks at. */
interface Context {
  readonly server: LlamaServer;
  readonly baseURL: string;
  readonly engine: ChatEngine;
}

type Check = (context: Context) => Promise<string>;

async function collect(
  engine: ChatEngine,
  prompt: Prompt,
  options: GenerateOptions,
): Promise<{ readonly pieces: readonly string[]; readonly result: AnswerResult }> {
  const generation = engine.generate(prompt, options);
  const pieces: string[] = [];
  for await (const piece of generation) pieces.push(piece.text);
  return { pieces, result: await generation.result };
}

/** The error that an answer ends in. */
async function failure(engine: ChatEngine, prompt: Prompt, options = {}): Promise<RemoteError> {
  const error = await engine.generate(prompt, options).result.then(
    () => assert.fail("the answer should have failed"),
    (reason: unknown) => reason,
  );
  assert(error instanceof RemoteError, String(error));
  return error;
}

/** Whether the server works on an answer. */
async function isBusy({ server }: Context): Promise<boolean> {
  const headers = { authorization: `Bearer ${KEY}` };
  const response = await fetch(`${server.address}/slots`, { headers });
  assert.equal(response.status, 200, "the server tells of its slots");
  const slots = (await response.json()) as { readonly is_processing: boolean }[];
  return slots.some(({ is_processing }) => is_processing);
}

/** Waits until the server is idle; it notices an end when it next writes. */
async function untilIdle(context: Context): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (!(await isBusy(context))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("the server still works on what nobody waits for");
}

const LONG = { maxTokens: 400, logitBias: { 2: -100, 0: -100 } } as const;

const CHECKS: Readonly<Record<string, Check>> = {
  async "streams a chat, with usage"({ engine }) {
    const { pieces, result } = await collect(engine, HELLO, { maxTokens: 24 });
    assert(pieces.length > 5, `only ${pieces.length} pieces`);
    assert.equal(pieces.join(""), result.text);
    const { usage } = result;
    assert(usage !== undefined && usage.promptTokens > 5);
    assert(usage.completionTokens <= 24);
    return `${pieces.length} pieces, ${usage.promptTokens} + ${usage.completionTokens} tokens`;
  },

  async "continues token ids as PyTorch does"({ engine }) {
    const [golden] = readGolden("smollm2-greedy").cases;
    const { promptTokenIds, text } = golden;
    const { result } = await collect(engine, promptTokenIds, { maxTokens: 48 });
    const differs = [...text].findIndex((char, i) => result.text[i] !== char);
    const same = differs < 0 ? text.length : differs;
    assert(same >= 40, `"${result.text}" differs from "${text}" at ${same}`);
    return `the first ${same} of ${text.length} characters are the same`;
  },

  async "repeats an answer with a seed, and stops at a text"({ engine }) {
    const options = { temperature: 1.2, topK: 50, topP: 0.95, seed: 7, maxTokens: 20 };
    const first = await collect(engine, HELLO, options);
    const again = await collect(engine, HELLO, options);
    assert.equal(again.result.text, first.result.text);
    const stop = first.result.text.slice(5, 9);
    const stopped = await collect(engine, HELLO, { ...options, stop: [stop] });
    assert.equal(stopped.result.finishReason, "stop");
    assert(!stopped.result.text.includes(stop));
    return JSON.stringify(stopped.result.text);
  },

  async "tells log-probabilities of chats and of texts"({ engine }) {
    for (const prompt of [HELLO, "The mitochondria is"]) {
      const { result } = await collect(engine, prompt, { maxTokens: 8, logprobs: 4 });
      const steps = result.logprobs ?? [];
      assert(steps.length >= 7, `${steps.length} steps`);
      for (const { text, logprob, top } of steps) {
        assert.equal(top.length, 4);
        assert.equal(top[0].text, text);
        assert(Math.abs(top[0].logprob - logprob) < 1e-3);
        assert(top.reduce((sum, token) => sum + Math.exp(token.logprob), 0) < 1.001);
      }
    }
    return "4 of each step";
  },

  async "takes biases and penalties"({ engine }) {
    const { result } = await collect(engine, HELLO, { maxTokens: 5, logitBias: { 260: 100 } });
    assert.equal(result.text.trim(), "the the the the the");
    const penalised = { maxTokens: 12, frequencyPenalty: 2, presencePenalty: 2 };
    const other = await collect(engine, HELLO, { ...penalised, logitBias: { 260: 8 } });
    const plain = await collect(engine, HELLO, { maxTokens: 12, logitBias: { 260: 8 } });
    assert.notEqual(other.result.text, plain.result.text);
    return JSON.stringify(other.result.text);
  },

  async "an abort ends the answer and the server's work"(context) {
    const abort = new AbortController();
    const reason = new Error("enough");
    const generation = context.engine.generate(HELLO, { ...LONG, signal: abort.signal });
    const ended = (async () => {
      let pieces = 0;
      for await (const _ of generation) {
        if (++pieces !== 3) continue;
        assert(await isBusy(context));
        abort.abort(reason);
      }
    })();
    await assert.rejects(ended, reason);
    await untilIdle(context);
    return "idle again";
  },

  async "breaking off the loop ends the server's work"(context) {
    let busy = false;
    for await (const _ of context.engine.generate(HELLO, LONG)) {
      busy = await isBusy(context);
      break;
    }
    assert(busy);
    await untilIdle(context);
    return "idle again";
  },

  async "a prompt beyond the context"({ engine }) {
    const error = await failure(engine, "word ".repeat(700));
    assert.equal(error.status, 400);
    return error.message;
  },

  async "a wrong key"({ baseURL }) {
    const error = await failure(remoteEngine({ baseURL, model: "m", apiKey: "no" }), HELLO);
    assert.equal(error.status, 401);
    return error.message;
  },

  async "a wrong address"({ baseURL }) {
    const wrong = `${baseURL}/nowhere`;
    const error = await failure(remoteEngine({ baseURL: wrong, model: "m", apiKey: KEY }), HELLO);
    assert.equal(error.status, 404);
    return error.message;
  },

  async "a server that ends in the middle of an answer"({ server, engine }) {
    let text = "";
    const generation = engine.generate(HELLO, LONG);
    const ended = (async () => {
      for await (const piece of generation) {
        if (text === "") void server.close();
        text += piece.text;
      }
    })();
    const error = await ended.then(
      () => assert.fail("it should have failed"),
      (reason: unknown) => reason as RemoteError,
    );
    assert(error instanceof RemoteError);
    assert(text !== "" && error.text === text);
    return error.message;
  },
};

/**
 * `node src/cli/run-ts.mjs test/remote/main.ts --python PYTHON`: `remoteEngine` against a real llama.cpp server that
 * serves the default model. `PYTHON` has the package xllamacpp.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const options = {
    python: { type: "string", default: "python3" },
    model: { type: "string", default: MODEL },
  } as const;
  const { values } = parseArgs({ args: [...argv], options });
  const server = await startLlamaServer(values.python, values.model, KEY);
  const baseURL = `${server.address}/v1`;
  const context = {
    server,
    baseURL,
    engine: remoteEngine({ baseURL, model: "smollm2", apiKey: KEY }),
  };
  let failures = 0;
  try {
    for (const [name, check] of Object.entries(CHECKS)) {
      try {
        console.log(`passed  ${name}: ${await check(context)}`);
      } catch (error) {
        failures++;
        console.log(`FAILED  ${name}: ${(error as Error).stack ?? String(error)}`);
      }
    }
  } finally {
    await server.close();
  }
  console.log(`${Object.keys(CHECKS).length - failures} passed, ${failures} failed`);
  return failures === 0 ? 0 : 1;
}
