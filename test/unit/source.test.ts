import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type FileSource, openFileSource } from "../../src/cli/file-source.ts";
import { SourceError } from "../../src/errors.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { readAhead } from "../../src/hub/read-ahead.ts";
import { blobSource, bufferSource, openUrlSource } from "../../src/hub/sources.ts";

const content = Uint8Array.from({ length: 10_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);

/** The error of a promise that must fail with a SourceError. */
async function sourceError(promise: Promise<unknown>): Promise<SourceError> {
  const error: unknown = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof SourceError)) throw new Error("no SourceError", { cause: error });
  return error;
}

// --- a web server whose answers the tests choose ---

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let answer: Answer = answerRange({});
let requests: string[] = [];

/** Serves `content` by ranges; the options make it misbehave. */
function answerRange(wrong: {
  readonly status?: number;
  readonly contentRange?: (start: number, end: number) => string | undefined;
  readonly body?: (bytes: Uint8Array) => Uint8Array;
  readonly headers?: Record<string, string>;
}): Answer {
  return (request, response) => {
    const [start, end] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [])
      .slice(1)
      .map(Number);
    const last = Math.min(end, content.length - 1);
    const range = wrong.contentRange
      ? wrong.contentRange(start, last)
      : `bytes ${start}-${last}/${content.length}`;
    response.writeHead(wrong.status ?? 206, {
      ETag: '"one"',
      ...(range === undefined ? {} : { "Content-Range": range }),
      ...wrong.headers,
    });
    const bytes = content.subarray(start, last + 1);
    response.end(wrong.body ? wrong.body(bytes) : bytes);
  };
}

const server = createServer((request, response) => {
  requests.push(String(request.headers.range));
  answer(request, response);
});
let url = "";

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
afterEach(() => {
  answer = answerRange({});
  requests = [];
});

// --- files ---

let folder = "";
let path = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziggurat-source-"));
  path = join(folder, "model.gguf");
  await writeFile(path, content);
});
afterAll(() => rm(folder, { recursive: true }));

const opened: FileSource[] = [];
afterAll(() => Promise.all(opened.map((file) => file.close())));

async function openedFile(): Promise<ByteSource> {
  const source = await openFileSource(path);
  opened.push(source);
  return source;
}

const kinds: Record<string, () => Promise<ByteSource>> = {
  buffer: async () => bufferSource(content, "model.gguf"),
  "array buffer": async () => bufferSource(content.slice().buffer, "model.gguf"),
  blob: async () => blobSource(new Blob([content]), "model.gguf"),
  file: openedFile,
  url: () => openUrlSource(url),
};

describe.each(Object.keys(kinds))("%s source", (kind) => {
  it("has the size, and reads any range", async () => {
    const source = await kinds[kind]();
    expect(source.size).toBe(content.length);
    expect(source.name).toContain("model.gguf");
    for (const [offset, length] of [
      [0, 4],
      [4, 1000],
      [9_990, 10],
      [0, 10_000],
      [500, 0],
      [10_000, 0],
    ]) {
      expect(await source.read(offset, length)).toEqual(content.slice(offset, offset + length));
    }
  });

  it("reads with memory to put it in", async () => {
    const source = await kinds[kind]();
    const into = new Uint8Array(200).fill(7);
    expect(await source.read(300, 100, undefined, into)).toEqual(content.slice(300, 400));
    expect(into.subarray(100)).toEqual(new Uint8Array(100).fill(7));
  });

  it("refuses ranges outside", async () => {
    const source = await kinds[kind]();
    for (const [offset, length] of [
      [9_990, 11],
      [-1, 4],
      [10_001, 0],
      [0, 2 ** 54],
      [0.5, 1],
      [NaN, 1],
    ]) {
      const error = await sourceError(source.read(offset, length));
      expect(error.message).toContain("it has 10000 bytes");
    }
  });

  it("throws the reason of an aborted signal, unwrapped", async () => {
    const source = await kinds[kind]();
    const reason = new Error("stop");
    await expect(source.read(0, 4, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
  });
});

describe("blobSource", () => {
  it("takes the name of a file", () => {
    expect(blobSource(new File([content], "picked.gguf")).name).toBe("picked.gguf");
    expect(blobSource(new Blob([content])).name).toBe("blob");
  });

  it("says so when the file behind it is gone", async () => {
    const blob = new Blob([content]);
    blob.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadable")) }) as never;
    const error = await sourceError(blobSource(blob, "m").read(0, 4));
    expect(error.message).toContain("choose the file again");
  });
});

describe("openFileSource", () => {
  it("says what is wrong with a path", async () => {
    expect((await sourceError(openFileSource(join(folder, "none")))).message).toContain(
      "there is no such file",
    );
    expect((await sourceError(openFileSource(folder))).message).toContain("is no file");
    expect((await sourceError(openFileSource(join(path, "below")))).message).toContain("no such");
  });

  it("notices a file that was cut after it was opened, and one that was closed", async () => {
    const cut = join(folder, "cut.gguf");
    await writeFile(cut, content);
    const source = await openFileSource(cut);
    await truncate(cut, 100);
    expect((await sourceError(source.read(50, 100))).message).toContain("ended at 100 of 10000");
    await source.close();
    expect((await sourceError(source.read(0, 10))).message).toContain("could not be read");
  });
});

describe("openUrlSource", () => {
  it("asks for the size first, then reads ahead: neighbours share one request", async () => {
    const source = await openUrlSource(url);
    await source.read(0, 24);
    await source.read(24, 5000);
    await source.read(5024, 4976);
    expect(requests).toEqual(["bytes=0-1", "bytes=0-9999"]);
  });

  it.each([
    ["the whole file instead of a range", { status: 200 }, "does not support range requests"],
    ["404", { status: 404 }, "answered 404: there is no such file"],
    ["403", { status: 403 }, "needs a permission"],
    ["416", { status: 416 }, "empty or shorter"],
    ["503", { status: 503 }, "try again later"],
    ["no Content-Range", { contentRange: () => undefined }, "Access-Control-Expose-Headers"],
    ["another range", { contentRange: () => "bytes 5-9/10000" }, "to a request for bytes 0-1"],
    ["an unknown size", { contentRange: () => "bytes 0-1/*" }, "bytes 0-1/*"],
    ["a size under the range", { contentRange: () => "bytes 0-1/0" }, "bytes 0-1/0"],
    ["too many bytes", { body: () => content }, "sent more than the 2 bytes"],
    ["too few bytes", { body: () => new Uint8Array(0) }, "sent 0 of 2 bytes"],
  ])("refuses %s", async (_, wrong, message) => {
    answer = answerRange(wrong);
    const error = await sourceError(openUrlSource(url));
    expect(error.source).toBe(url);
    expect(error.message).toContain(message);
  });

  it("refuses a file that changes between two requests", async () => {
    const changes: Parameters<typeof answerRange>[0][] = [
      { headers: { ETag: '"two"' } },
      { contentRange: (start, end) => `bytes ${start}-${end}/10001` },
    ];
    for (const change of changes) {
      answer = answerRange({});
      const source = await openUrlSource(url);
      answer = answerRange(change);
      expect((await sourceError(source.read(0, 10))).message).toContain("changed on the server");
    }
  });

  it("falls back to the date where there is no ETag", async () => {
    const dated = (date: string): Answer => {
      const ranged = answerRange({ headers: { "Last-Modified": date } });
      return (request, response) => {
        const writeHead = response.writeHead.bind(response);
        response.writeHead = ((status: number, headers: Record<string, string>) => {
          delete headers["ETag"];
          return writeHead(status, headers);
        }) as typeof response.writeHead;
        ranged(request, response);
      };
    };
    answer = dated("Mon, 01 Jan 2024 00:00:00 GMT");
    const source = await openUrlSource(url);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
    const other = await openUrlSource(url);
    answer = dated("Tue, 02 Jan 2024 00:00:00 GMT");
    expect((await sourceError(other.read(0, 4))).message).toContain("changed on the server");
  });

  it("says how many bytes came before a connection broke, and works again afterwards", async () => {
    const source = await openUrlSource(url);
    answer = (_, response) => {
      response.writeHead(206, {
        ETag: '"one"',
        "Content-Range": "bytes 0-9999/10000",
        "Content-Length": "10000",
      });
      response.write(content.subarray(0, 100), () => response.destroy());
    };
    expect((await sourceError(source.read(0, 10_000))).message).toContain("could not be fetched");
    answer = answerRange({});
    expect(await source.read(0, 10_000)).toEqual(content);
  });

  it("gives up on a server that falls silent", async () => {
    const source = await openUrlSource(url, { stallMs: 100 });
    answer = (_, response) => {
      response.writeHead(206, { ETag: '"one"', "Content-Range": "bytes 0-9999/10000" });
      response.write(content.subarray(0, 100));
    };
    expect((await sourceError(source.read(0, 10_000))).message).toContain("sent nothing for 0.1 s");
  });

  it("stops a transfer when the signal is aborted", async () => {
    const source = await openUrlSource(url);
    const stop = new AbortController();
    answer = (_, response) => {
      response.writeHead(206, { ETag: '"one"', "Content-Range": "bytes 0-9999/10000" });
      response.write(content.subarray(0, 100), () => stop.abort());
    };
    await expect(source.read(0, 10_000, stop.signal)).rejects.toHaveProperty("name", "AbortError");
  });

  it("says what to check when nobody answers", async () => {
    const gone = createServer();
    await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const error = await sourceError(openUrlSource(`http://127.0.0.1:${port}/model.gguf`));
    expect(error.message).toContain("could not be fetched");
    expect(error.message).toContain("check the address");
    expect(await sourceError(openUrlSource("nonsense"))).toBeInstanceOf(SourceError);
  });

  it("uses the fetch that it is given", async () => {
    let calls = 0;
    const counting: typeof fetch = (input, init) => {
      calls++;
      return fetch(input, init);
    };
    await openUrlSource(new URL(url), { fetch: counting });
    expect(calls).toBe(1);
  });
});

describe("readAhead", () => {
  const counted = (): { source: ByteSource; reads: [number, number][] } => {
    const reads: [number, number][] = [];
    const plain = bufferSource(content, "m");
    const source: ByteSource = {
      ...plain,
      read: (offset, length, signal) => {
        reads.push([offset, length]);
        return plain.read(offset, length, signal);
      },
    };
    return { source: readAhead(source, 1000), reads };
  };

  it("reads whole blocks, and keeps the last three", async () => {
    const { source, reads } = counted();
    for (const [offset, length] of [
      [0, 10],
      [10, 1985],
      [990, 20],
      [9100, 900],
      [1500, 10],
      [9999, 1],
      [2000, 1000],
      [0, 1],
      [500, 0],
    ]) {
      expect(await source.read(offset, length)).toEqual(content.slice(offset, offset + length));
    }
    const block = (index: number): [number, number] => [index * 1000, 1000];
    expect(reads).toEqual([0, 1, 9, 2, 0].map(block));
  });

  it("fetches nothing twice while two places of the file are read in turn", async () => {
    const { source, reads } = counted();
    for (let at = 0; at < 4500; at += 300) {
      await source.read(at, 300);
      await source.read(5000 + at, 300);
    }
    expect(reads.length).toBe(10);
  });

  it("reads a short last block", async () => {
    const source = readAhead(bufferSource(content.subarray(0, 1500), "m"), 1000);
    expect(await source.read(900, 600)).toEqual(content.slice(900, 1500));
  });

  it("keeps concurrent reads apart", async () => {
    const { source } = counted();
    const offsets = [0, 5000, 10, 8000, 20, 5100];
    const all = await Promise.all(offsets.map((offset) => source.read(offset, 300)));
    expect(all).toEqual(offsets.map((offset) => content.slice(offset, offset + 300)));
  });
});
