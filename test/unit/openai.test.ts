import { expect, test } from "vitest";
import {
  type ChatCompletionChunk,
  type ChatCompletionRequest,
  ContextLengthError,
  InvalidOptionError,
  openAi,
} from "../../src/index.ts";
import { FakeEngine } from "./fake-engine.ts";

const messages = [{ role: "user", content: "count" }] as const;

const KV_CACHE = {
  policy: "pyramidkv",
  allocated_bytes: 13,
  full_bytes: 100,
  saved_bytes: 87,
  peak_bytes: 99,
  evicted: true,
};

const USAGE = {
  prompt_tokens: 10,
  completion_tokens: 3,
  total_tokens: 13,
  prompt_tokens_details: { cached_tokens: 4 },
  kv_cache: KV_CACHE,
  extra: { time_to_first_token_s: 0.005, prefill_tokens_per_s: 2000, decode_tokens_per_s: 100 },
};

async function collect(chunks: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletionChunk[]> {
  const all: ChatCompletionChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

test("an answer has OpenAI's shape, with our figures in its usage", async () => {
  const { chat } = openAi(new FakeEngine());
  const before = Math.floor(Date.now() / 1000);
  const answer = await chat.completions.create({ messages, model: "smollm2" });
  expect(answer).toEqual({
    id: expect.stringMatching(/^chatcmpl-\w+$/) as string,
    object: "chat.completion",
    created: expect.any(Number) as number,
    model: "smollm2",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "0 1 2 ", refusal: null },
        logprobs: null,
        finish_reason: "length",
      },
    ],
    usage: USAGE,
  });
  expect(answer.created).toBeGreaterThanOrEqual(before);
  expect(answer.created).toBeLessThan(before + 60);
});

test("chunks: the role, the text, the end, and the usage if asked for", async () => {
  const { chat } = openAi(new FakeEngine());
  const stream = { messages, stream: true } as const;
  const plain = await collect(await chat.completions.create(stream));
  expect(new Set(plain.map(({ id }) => id)).size).toBe(1);
  expect(plain.map(({ choices }) => [choices[0]?.delta, choices[0]?.finish_reason])).toEqual([
    [{ role: "assistant", content: "" }, null],
    [{ content: "0 " }, null],
    [{ content: "1 " }, null],
    [{ content: "2 " }, null],
    [{}, "length"],
  ]);
  expect(plain.filter((chunk) => "usage" in chunk)).toEqual([]);
  const include_usage = true;
  const full = await collect(
    await chat.completions.create({ ...stream, stream_options: { include_usage } }),
  );
  expect(full.slice(0, -1).map(({ usage }) => usage)).toEqual(plain.map(() => null));
  expect(full.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
});

test("options reach the engine under its own names", async () => {
  const engine = new FakeEngine();
  const { chat } = openAi(engine);
  const parts = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ] as const;
  await chat.completions.create({
    messages: [
      { role: "developer", content: "be short" },
      { role: "user", content: parts },
    ],
    temperature: 0.5,
    top_p: 0.9,
    max_completion_tokens: 2,
    max_tokens: 7,
    stop: "\n",
    seed: 3,
    n: 1,
    top_k: 5,
    min_p: 0.1,
    repetition_penalty: 1.1,
    logit_bias: { 5: -3 },
    frequency_penalty: 0.5,
    presence_penalty: -1,
    logprobs: true,
    top_logprobs: 3,
  });
  expect(engine.calls.at(-1)).toEqual([
    "generate",
    [
      { role: "system", content: "be short" },
      { role: "user", content: "ab" },
    ],
    {
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 2,
      stop: ["\n"],
      seed: 3,
      topK: 5,
      minP: 0.1,
      repetitionPenalty: 1.1,
      logitBias: { 5: -3 },
      frequencyPenalty: 0.5,
      presencePenalty: -1,
      logprobs: 3,
    },
  ]);
  await chat.completions.create({ messages, temperature: null, stop: ["a", "b"], top_p: null });
  expect(engine.options).toEqual({ temperature: 1, stop: ["a", "b"] });
});

test("log-probabilities, of the whole answer and of its chunks", async () => {
  const { chat } = openAi(new FakeEngine());
  const request = { messages, max_tokens: 10, logprobs: true, top_logprobs: 1 } as const;
  const best = { token: "0 ", logprob: -0, bytes: null };
  const step = (id: number, logprob: number) => ({
    ...{ token: `${id} `, logprob, bytes: id === 0 ? null : [48 + id, 32] },
    top_logprobs: [best],
  });
  const whole = await chat.completions.create(request);
  const { logprobs } = whole.choices[0];
  expect(logprobs?.refusal).toBe(null);
  expect(logprobs?.content).toHaveLength(10);
  expect(logprobs?.content[2]).toEqual(step(2, -2));
  // JSON knows no infinity.
  expect(logprobs?.content[9]).toEqual(step(9, -9999));
  expect(JSON.parse(JSON.stringify(logprobs))).toMatchObject({ content: { length: 10 } });
  const chunks = await collect(await chat.completions.create({ ...request, stream: true }));
  expect(chunks.map(({ choices }) => choices[0]?.logprobs?.content.length)).toEqual([
    undefined,
    ...Array.from({ length: 10 }, () => 1),
    undefined,
  ]);
  expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])).toEqual(
    logprobs?.content,
  );
  const alone = await chat.completions.create({ messages, logprobs: true });
  expect(alone.choices[0].logprobs?.content[1]?.top_logprobs).toEqual([]);
});

test("what asks for nothing is let through", async () => {
  const { chat } = openAi(new FakeEngine());
  const harmless = {
    frequency_penalty: 0,
    presence_penalty: 0,
    logit_bias: {},
    logprobs: false,
    top_logprobs: null,
    tools: [],
    tool_choice: "none",
    response_format: { type: "text" },
    n: null,
  };
  const request = { messages, ...harmless } as unknown as ChatCompletionRequest;
  expect(await chat.completions.create({ ...request, stream: false })).toHaveProperty("choices");
  const notes = {
    messages: [{ ...messages[0], name: "Bob" }],
    user: "someone",
    metadata: { a: "b" },
    prompt_cache_key: "a",
    safety_identifier: "b",
  };
  expect(await chat.completions.create(notes)).toHaveProperty("choices");
});

test("whether it streams may be known only when it runs", async () => {
  const { chat } = openAi(new FakeEngine());
  const came: unknown[] = [];
  for (const stream of [true, false]) {
    const answer = await chat.completions.create({ messages, stream });
    came.push("choices" in answer ? answer.object : (await collect(answer)).length);
  }
  expect(came).toEqual([5, "chat.completion"]);
});

test.each([
  ["n", 2],
  ["logprobs", 3],
  ["top_logprobs", 3],
  ["tools", [{ type: "function" }]],
  ["tool_choice", "auto"],
  ["response_format", { type: "json_object" }],
  ["stream_options", { include_usage: true }],
  ["max_token", 5],
  ["__proto__x", 1],
  ["constructor", 1],
  ["messages", "hello"],
  ["stream", "true"],
  ["stream", 1],
])("%s = %j is refused by name", async (field, value) => {
  const engine = new FakeEngine();
  const { chat } = openAi(engine);
  const request = { messages, [field]: value } as unknown as ChatCompletionRequest & {
    stream: false;
  };
  const refused = chat.completions.create(request);
  await expect(refused).rejects.toBeInstanceOf(InvalidOptionError);
  await expect(refused).rejects.toMatchObject({ option: field });
  expect(engine.calls).toEqual([]);
});

test.each([
  ["stream_options", "include_usage"],
  ["stream_options.include_obfuscation", { include_usage: true, include_obfuscation: true }],
  ["stream_options.include_usage", { include_usage: "yes" }],
])("%s is refused by name in %j", async (option, stream_options) => {
  const { chat } = openAi(new FakeEngine());
  const request = { messages, stream: true, stream_options } as unknown as ChatCompletionRequest;
  const refused = chat.completions.create(request);
  await expect(refused).rejects.toBeInstanceOf(InvalidOptionError);
  await expect(refused).rejects.toMatchObject({ option });
});

test("images, tool calls and odd contents are refused by where they are", async () => {
  const { chat } = openAi(new FakeEngine());
  const ask = (message: unknown): Promise<unknown> =>
    chat.completions.create({ messages: [messages[0], message as (typeof messages)[0]] });
  const image = { role: "user", content: [{ type: "image_url", image_url: {} }] };
  await expect(ask(image)).rejects.toThrow(
    'messages[1].content must be text alone, got a part "im',
  );
  await expect(ask({ role: "assistant", content: null })).rejects.toThrow("messages[1].content");
  const call = { role: "assistant", content: "", tool_calls: [{}] };
  await expect(ask(call)).rejects.toThrow("messages[1].tool_calls");
  await expect(ask({ name: "Bob", ...call })).rejects.toThrow("messages[1].tool_calls");
  for (const message of [null, "hello", 5]) {
    await expect(ask(message)).rejects.toThrow("messages[1] must be a message");
  }
  await expect(ask({ role: "user", content: [null] })).rejects.toThrow(
    "messages[1].content must be text alone, got a part null",
  );
});

test("breaking off the chunks stops the engine, and a signal ends them with its reason", async () => {
  const engine = new FakeEngine();
  const { chat } = openAi(engine);
  const long = { messages, stream: true, max_tokens: 1000 } as const;
  let count = 0;
  for await (const chunk of await chat.completions.create(long)) {
    if (chunk.choices[0]?.delta.content === "3 ") break;
    count++;
  }
  expect([count, engine.pulled, engine.ended]).toEqual([4, 4, "stopped"]);
  const stop = new AbortController();
  const { signal } = stop;
  const reason = new Error("no time");
  const stream = await chat.completions.create(long, { signal });
  const ended = (async () => {
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) stop.abort(reason);
  })();
  await expect(ended).rejects.toBe(reason);
  await expect(chat.completions.create({ messages }, { signal })).rejects.toBe(reason);
});

test("the engine's errors come through as they are", async () => {
  const engine = new FakeEngine();
  const { chat } = openAi(engine);
  const failure = new ContextLengthError(9, 8, "the prompt");
  engine.failure = failure;
  await expect(chat.completions.create({ messages })).rejects.toBe(failure);
  engine.failure = failure;
  await expect(chat.completions.create({ messages, stream: true }).then(collect)).rejects.toBe(
    failure,
  );
});
