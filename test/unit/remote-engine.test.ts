import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { InvalidOptionError, RemoteError, remoteEngine } from "../../src/index.ts";

/** What the server was asked. */
interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Record<string, unknown>;
}

type Reply = (response: ServerResponse, asked: Asked) => void;

let reply: Reply;
let asked: Asked[] = [];
let baseURL: string;
const server = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (part: string) => (text += part));
  request.on("end", () => {
    const body = JSON.parse(text) as Record<string, unknown>;
    const one = { path: request.url ?? "", headers: request.headers, body };
    asked.push(one);
    reply(response, one);
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
beforeEach(() => {
  asked = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Answer with these chunks of bytes, cut wherever a test likes. */
function stream(...parts: (string | Uint8Array)[]): Reply {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    for (const part of parts) response.write(part);
    response.end();
  };
}

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
const said = (content: string): string => event({ choices: [{ delta: { content } }] });
const ended = (finish_reason: string): string => event({ choices: [{ delta: {}, finish_reason }] });
const USAGE = event({
  choices: [],
  usage: { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } },
});
const DONE = "data: [DONE]\n\n";

const HELLO = [{ role: "user", content: "Hello" }] as const;

/** The error that an answer ends in. */
async function failure(run: Reply, prompt: string = "x"): Promise<unknown> {
  reply = run;
  const engine = remoteEngine({ baseURL, model: "m" });
  return engine.generate(prompt).result.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("streams an answer, with its usage and its end", async () => {
  reply = stream(
    event({ choices: [{ delta: { role: "assistant", content: null } }] }),
    said("Good "),
    ": still there\r\n\r\n",
    said("day"),
    ended("length"),
    USAGE,
    DONE,
  );
  const engine = remoteEngine({ baseURL, model: "m", apiKey: "key", headers: { "x-app": "1" } });
  const generation = engine.generate(HELLO, { maxTokens: 7, stop: ["\n"], seed: 5 });
  const pieces: string[] = [];
  for await (const piece of generation) pieces.push(piece.text);
  const result = await generation.result;
  expect(pieces).toEqual(["Good ", "day"]);
  expect(result).toMatchObject({
    text: "Good day",
    finishReason: "length",
    usage: { promptTokens: 9, cachedTokens: 4, completionTokens: 3 },
    timings: { prefillTokens: 5, decodeTokens: 3 },
  });
  expect(asked[0]).toMatchObject({
    path: "/v1/chat/completions",
    headers: { authorization: "Bearer key", "x-app": "1" },
  });
  expect(asked[0]?.body).toEqual({
    model: "m",
    messages: HELLO,
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    top_p: 1,
    seed: 5,
    max_tokens: 7,
    stop: ["\n"],
  });
});

test("continues texts and token ids, with options that are no part of the protocol only if set", async () => {
  reply = stream(event({ choices: [{ text: " b", finish_reason: "stop" }] }), DONE);
  const engine = remoteEngine({ baseURL: `${baseURL}/`, model: "m" });
  expect((await engine.generate("a", { topK: 4, minP: 0.1 }).result).text).toBe(" b");
  await engine.generate([1, 2], { repetitionPenalty: 1.1 }).result;
  expect(asked.map(({ path }) => path)).toEqual(["/v1/completions", "/v1/completions"]);
  expect(asked[0]?.body).toMatchObject({ prompt: "a", top_k: 4, min_p: 0.1 });
  expect(asked[0]?.body).not.toHaveProperty("repetition_penalty");
  expect(asked[1]?.body).toMatchObject({ prompt: [1, 2], repetition_penalty: 1.1 });
});

test("log-probabilities of chats and of texts, bias and penalties", async () => {
  const top_logprobs = [
    { token: "a", logprob: -0.5, bytes: [97] },
    { token: "é", logprob: -2 },
  ];
  const token = { ...top_logprobs[0], top_logprobs };
  const logprobs = { content: [token, { token: 5 }], refusal: null };
  reply = stream(event({ choices: [{ delta: { content: "a" }, logprobs }] }), ended("stop"), DONE);
  const engine = remoteEngine({ baseURL, model: "m" });
  const options = {
    logprobs: 2,
    logitBias: { 7: -5 },
    frequencyPenalty: 0.5,
    presencePenalty: -1,
  };
  const generation = engine.generate(HELLO, options);
  const told = [];
  for await (const piece of generation) told.push(...(piece.logprobs ?? []));
  const a = { tokenId: undefined, text: "a", logprob: -0.5, bytes: [97] };
  const e = { tokenId: undefined, text: "é", logprob: -2, bytes: [195, 169] };
  expect(told).toEqual([{ ...a, top: [a, e] }]);
  expect((await generation.result).logprobs).toEqual(told);
  expect(asked[0]?.body).toMatchObject({
    logprobs: true,
    top_logprobs: 2,
    logit_bias: { 7: -5 },
    frequency_penalty: 0.5,
    presence_penalty: -1,
  });
  const lists = { tokens: ["a"], token_logprobs: [-0.5], top_logprobs: [{ é: -2, a: -0.5 }] };
  reply = stream(event({ choices: [{ text: "a", logprobs: lists, finish_reason: "stop" }] }), DONE);
  expect((await engine.generate("x", { logprobs: 2 }).result).logprobs).toEqual(told);
  expect(asked[1]?.body).toMatchObject({ logprobs: 2 });
});

test("a server that tells no log-probabilities is an error, with the text", async () => {
  reply = stream(said("a"), ended("stop"), DONE);
  const engine = remoteEngine({ baseURL, model: "m" });
  const { result } = engine.generate(HELLO, { logprobs: 0 });
  await expect(result).rejects.toMatchObject({
    code: "remote",
    text: "a",
    message: expect.stringContaining("told no log-probabilities; leave out logprobs") as string,
  });
});

test("a character that is cut between two packets comes whole", async () => {
  const bytes = new TextEncoder().encode(said("né 🏛"));
  const parts = [...bytes].map((byte) => Uint8Array.of(byte));
  reply = stream(...parts, ended("stop"), DONE);
  expect((await remoteEngine({ baseURL, model: "m" }).generate("x").result).text).toBe("né 🏛");
});

test("usage that the server doesn't tell is undefined, not invented", async () => {
  reply = stream(said("a"), ended("stop"), DONE);
  const result = await remoteEngine({ baseURL, model: "m" }).generate("x").result;
  expect(result.usage).toBeUndefined();
  expect(result.timings.decodeTokensPerSecond).toBe(0);
});

describe("a typed error for", () => {
  const json = (status: number, body: string, type = "application/json"): Reply => {
    return (response) => response.writeHead(status, { "content-type": type }).end(body);
  };
  test.each<[string, Reply, number | undefined, RegExp]>([
    [
      "a refusal",
      json(400, '{"error":{"message":"too long"}}'),
      400,
      /too long; check the options/,
    ],
    ["a wrong key", json(401, "{}"), 401, /check apiKey/],
    ["an unknown model", json(404, '{"error":"no such model"}'), 404, /no such model.*and model/],
    ["a busy server", json(503, "<h1>busy</h1>", "text/html"), 503, /busy.*try again later/],
    ["a page in place of a stream", json(200, "<p>", "text/html"), 200, /text\/html; baseURL/],
    ["no JSON", stream("data: {oops\n\n"), undefined, /no JSON: \{oops/],
    ["an error in the stream", stream(event({ error: { message: "full" } })), 200, /full/],
    [
      "an answer that is withheld",
      stream(said("a"), ended("content_filter")),
      200,
      /content_filter/,
    ],
    ["an event without end", stream(`data: ${"x".repeat(2_000_000)}`), undefined, /over 1048576/],
  ])("%s", async (_, run, status, message) => {
    const error = await failure(run);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ code: "remote", status });
    expect((error as Error).message).toMatch(message);
  });

  test("a stream that is cut, with the text so far", async () => {
    const error = await failure(stream(said("so far")));
    expect(error).toMatchObject({ code: "remote", text: "so far" });
    expect((error as Error).message).toContain("broke off");
  });

  test("a connection that is cut", async () => {
    const error = await failure((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(said("half"), () => response.destroy());
    });
    expect(error).toMatchObject({ code: "remote", text: "half" });
    expect((error as Error).message).toMatch(/broke off in the middle of its answer.*ask again/);
  });

  test("no server", async () => {
    const engine = remoteEngine({ baseURL: "http://127.0.0.1:9/v1", model: "m" });
    await expect(engine.generate("x").result).rejects.toThrow(/could not be reached.*CORS/);
  });

  test.each([
    [{ baseURL: "ftp://a/v1", model: "m" }, "baseURL"],
    [{ baseURL: "nowhere", model: "m" }, "baseURL"],
    [{ baseURL: "http://a/v1", model: "" }, "model"],
  ])("options %j", (options, option) => {
    expect(() => remoteEngine(options)).toThrow(expect.objectContaining({ option }));
  });

  test("options of an answer, before anything is sent", async () => {
    const engine = remoteEngine({ baseURL, model: "m" });
    const wrong = engine.generate("x", { temperature: -1 }).result;
    await expect(wrong).rejects.toBeInstanceOf(InvalidOptionError);
    await expect(engine.generate("x", { maxTokens: 0.5 }).result).rejects.toThrow("maxTokens");
    expect(asked).toEqual([]);
  });
});

describe("the request ends when", () => {
  /** Says one word and keeps the connection open; tells when the other side closes it. */
  function endless(): { readonly reply: Reply; readonly closed: Promise<void> } {
    let close = (): void => {};
    const closed = new Promise<void>((resolve) => (close = resolve));
    return {
      closed,
      reply(response) {
        response.on("close", close);
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(said("word"));
      },
    };
  }

  test("it is aborted", async () => {
    const open = endless();
    reply = open.reply;
    const abort = new AbortController();
    const reason = new Error("enough");
    const generation = remoteEngine({ baseURL, model: "m" }).generate("x", abort);
    await expect(
      (async () => {
        for await (const piece of generation) if (piece.text === "word") abort.abort(reason);
      })(),
    ).rejects.toBe(reason);
    await open.closed;
  });

  test("the loop is broken off", async () => {
    const open = endless();
    reply = open.reply;
    const generation = remoteEngine({ baseURL, model: "m" }).generate("x");
    for await (const piece of generation) if (piece.text === "word") break;
    await open.closed;
    await expect(generation.result).rejects.toThrow("abandoned");
  });

  test("the engine is destroyed", async () => {
    const open = endless();
    reply = open.reply;
    const engine = remoteEngine({ baseURL, model: "m" });
    const pieces = engine.generate("x")[Symbol.asyncIterator]();
    await pieces.next();
    await engine.destroy();
    await expect(pieces.next()).rejects.toMatchObject({ name: "AbortError" });
    await open.closed;
    await expect(engine.generate("x").result).rejects.toThrow("destroyed");
  });
});
