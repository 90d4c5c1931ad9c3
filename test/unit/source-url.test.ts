import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openUrlSource } from "../../src/hub/sources.ts";
import { SourceError } from "../../src/errors.ts";
import {
  type Answer,
  answerRange,
  content,
  type RangeServer,
  sourceError,
  startRangeServer,
  type Wrong,
} from "./range-server.ts";

let server: RangeServer;
beforeAll(async () => {
  server = await startRangeServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  server.answer = answerRange({});
  server.requests = [];
});

describe("openUrlSource", () => {
  it("asks for the size first, then reads ahead: neighbours share one request", async () => {
    const source = await openUrlSource(server.url);
    await source.read(0, 24);
    await source.read(24, 5000);
    await source.read(5024, 4976);
    expect(server.requests).toEqual(["bytes=0-1", "bytes=0-9999"]);
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
    server.answer = answerRange(wrong);
    const error = await sourceError(openUrlSource(server.url));
    expect(error.source).toBe(server.url);
    expect(error.message).toContain(message);
  });

  it("refuses a file that changes between two requests", async () => {
    const changes: Wrong[] = [
      { headers: { ETag: '"two"' } },
      { contentRange: (start, end) => `bytes ${start}-${end}/10001` },
    ];
    for (const change of changes) {
      server.answer = answerRange({});
      const source = await openUrlSource(server.url);
      server.answer = answerRange(change);
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
    server.answer = dated("Mon, 01 Jan 2024 00:00:00 GMT");
    const source = await openUrlSource(server.url);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
    const other = await openUrlSource(server.url);
    server.answer = dated("Tue, 02 Jan 2024 00:00:00 GMT");
    expect((await sourceError(other.read(0, 4))).message).toContain("changed on the server");
  });

  it("says how many bytes came before a connection broke, and works again afterwards", async () => {
    const source = await openUrlSource(server.url);
    server.answer = (_, response) => {
      response.writeHead(206, {
        ETag: '"one"',
        "Content-Range": "bytes 0-9999/10000",
        "Content-Length": "10000",
      });
      response.write(content.subarray(0, 100), () => response.destroy());
    };
    expect((await sourceError(source.read(0, 10_000))).message).toContain("could not be fetched");
    server.answer = answerRange({});
    expect(await source.read(0, 10_000)).toEqual(content);
  });

  it("gives up on a server that falls silent", async () => {
    const source = await openUrlSource(server.url, { stallMs: 100 });
    server.answer = (_, response) => {
      response.writeHead(206, { ETag: '"one"', "Content-Range": "bytes 0-9999/10000" });
      response.write(content.subarray(0, 100));
    };
    expect((await sourceError(source.read(0, 10_000))).message).toContain("sent nothing for 0.1 s");
  });

  it("stops a transfer when the signal is aborted", async () => {
    const source = await openUrlSource(server.url);
    const stop = new AbortController();
    server.answer = (_, response) => {
      response.writeHead(206, { ETag: '"one"', "Content-Range": "bytes 0-9999/10000" });
      response.write(content.subarray(0, 100), () => stop.abort());
    };
    await expect(source.read(0, 10_000, stop.signal)).rejects.toHaveProperty("name", "AbortError");
  });

  it("says what to check when nobody answers", async () => {
    const gone = await startRangeServer();
    gone.stop();
    const error = await sourceError(openUrlSource(gone.url));
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
    await openUrlSource(new URL(server.url), { fetch: counting });
    expect(calls).toBe(1);
  });
});
