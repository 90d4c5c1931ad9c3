import { createParser } from "eventsource-parser";
import { RemoteError } from "../errors.ts";

/** Most characters of a server's complaint that an error message quotes. */
const QUOTED = 300;

/** Most characters of one event: more is no token of an answer. */
const MAX_EVENT_CHARACTERS = 1 << 20;

/** A request to an OpenAI-compatible server. */
export interface RemoteRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
}

/**
 * Post a request and yield the data of its server-sent events, parsed, until `[DONE]` or the end.
 * Breaking off cancels the request.
 * @throws RemoteError when the server can't be reached, refuses, breaks off, or sends what isn't JSON; the
 * signal's reason when it is aborted
 */
export async function* remoteEvents(request: RemoteRequest): AsyncGenerator<unknown, void> {
  const { url, signal } = request;
  const body = await post(request);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const events: string[] = [];
  let tooLong: Error | undefined;
  const parser = createParser({
    onEvent: ({ data }) => events.push(data),
    maxBufferSize: MAX_EVENT_CHARACTERS,
    onError(error) {
      // Fields that the format doesn't know are ignored, as browsers do.
      if (error.type === "max-buffer-size-exceeded") tooLong = error;
    },
  });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(value);
      if (tooLong !== undefined) {
        const message = `${url} sent an event of over ${MAX_EVENT_CHARACTERS} characters; try again`;
        throw new RemoteError(message, undefined, "", { cause: tooLong });
      }
      for (const data of events.splice(0)) {
        if (data === "[DONE]") return;
        yield parse(data, url);
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RemoteError) throw error;
    const message = `${url} broke off in the middle of its answer: ${String(error)}; ask again`;
    throw new RemoteError(message, undefined, "", { cause: error });
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function post({ url, headers, body, signal }: RemoteRequest): Promise<ReadableStream> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream", ...headers },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(url, error);
  }
  if (!response.ok || response.body === null) throw await refusal(url, response);
  const type = response.headers.get("content-type") ?? "none";
  if (!type.includes("text/event-stream")) {
    await response.body.cancel().catch(() => {});
    const advice = "baseURL must lead to an OpenAI-compatible server that can stream";
    throw new RemoteError(`${url} answered with ${type}; ${advice}`, response.status, "");
  }
  return response.body;
}

function unreachable(url: string, cause: unknown): RemoteError {
  const advice = "check that the server runs and, in a page, that it allows this origin (CORS)";
  return new RemoteError(
    `${url} could not be reached: ${String(cause)}; ${advice}`,
    undefined,
    "",
    {
      cause,
    },
  );
}

/** What a server says when it refuses: OpenAI's error object, or the start of whatever it sent. */
async function refusal(url: string, response: Response): Promise<RemoteError> {
  const text = await response.text().catch(() => "");
  const { status } = response;
  return new RemoteError(
    `${url} refused with status ${status}: ${complaint(text).slice(0, QUOTED) || "no reason given"}; ` +
      adviceFor(status),
    status,
    "",
  );
}

function complaint(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error;
    const { message } = (error ?? {}) as { message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    // no JSON: the text itself is all there is
  }
  return text;
}

function adviceFor(status: number): string {
  if (status === 401 || status === 403) return "check apiKey";
  if (status === 404) return "check baseURL and model";
  if (status === 429 || status >= 500) return "try again later";
  return "check the options and the length of the prompt";
}

function parse(data: string, url: string): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    const message = `${url} sent an event that is no JSON: ${data.slice(0, QUOTED)}; try again`;
    throw new RemoteError(message, undefined, "", { cause });
  }
}
