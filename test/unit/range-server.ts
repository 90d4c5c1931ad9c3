import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { SourceError } from "../../src/errors.ts";

/** The file that the tests of sources read. */
export const content: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 10_000 },
  (_, i) => (i * 31 + (i >> 8)) & 255,
);

/** The error of a promise that must fail with a SourceError. */
export async function sourceError(promise: Promise<unknown>): Promise<SourceError> {
  const error: unknown = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof SourceError)) throw new Error("no SourceError", { cause: error });
  return error;
}

/** What the server does with a request. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Ways in which an answer to a range request can be wrong. */
export interface Wrong {
  readonly status?: number;
  readonly contentRange?: (start: number, end: number) => string | undefined;
  readonly body?: (bytes: Uint8Array) => Uint8Array;
  readonly headers?: Record<string, string>;
}

/** A web server with `content`, whose answers a test chooses. */
export interface RangeServer {
  readonly url: string;
  /** The ranges asked for so far. */
  requests: string[];
  answer: Answer;
  stop(): void;
}

/** Starts a server on a free port. */
export async function startRangeServer(): Promise<RangeServer> {
  const server = createServer((request, response) => {
    result.requests.push(String(request.headers.range));
    result.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const result: RangeServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`,
    requests: [],
    answer: answerRange({}),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return result;
}

/** Serves a file by ranges; the options make it misbehave. */
export function answerRange(wrong: Wrong, file: Uint8Array = content): Answer {
  return (request, response) => {
    const [start, end] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [])
      .slice(1)
      .map(Number);
    const last = Math.min(end, file.length - 1);
    const range = wrong.contentRange
      ? wrong.contentRange(start, last)
      : `bytes ${start}-${last}/${file.length}`;
    response.writeHead(wrong.status ?? 206, {
      ETag: '"one"',
      ...(range === undefined ? {} : { "Content-Range": range }),
      ...wrong.headers,
    });
    const bytes = file.subarray(start, last + 1);
    response.end(wrong.body ? wrong.body(bytes) : bytes);
  };
}
