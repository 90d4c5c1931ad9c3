import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".gguf": "application/octet-stream",
};

/** A site that is being served. */
export interface StaticSite {
  /** Address of the folder, with a slash at its end. */
  readonly url: string;
  /** What was asked for and is not there. */
  readonly missing: readonly string[];
  close(): Promise<void>;
}

/**
 * Serves folders as one sub-folder of a host, as plain static hosts do: types by extension, byte ranges, 404.
 *
 * @param folders the first that holds a file gives it
 * @param under the sub-folder's path, such as `/some/where/`
 */
export async function serveStatic(folders: readonly string[], under: string): Promise<StaticSite> {
  const missing: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname);
    void findFile(folders, under, path).then((file) => {
      if (file === undefined) {
        missing.push(path);
        response.writeHead(404, { "content-type": "text/plain" }).end("not found");
      } else {
        sendFile(response, file, request.headers.range);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${under}`,
    missing,
    close: () => closeServer(server),
  };
}

interface FoundFile {
  readonly path: string;
  readonly bytes: number;
}

async function findFile(
  folders: readonly string[],
  under: string,
  path: string,
): Promise<FoundFile | undefined> {
  if (!path.startsWith(under)) return undefined;
  const name = normalize(`/${path.slice(under.length)}`);
  for (const folder of folders) {
    const file = join(folder, name.endsWith("/") ? `${name}index.html` : name);
    const stats = await stat(file).catch(() => undefined);
    if (stats?.isFile()) return { path: file, bytes: stats.size };
  }
  return undefined;
}

function sendFile(response: ServerResponse, { path, bytes }: FoundFile, range?: string): void {
  const type = TYPES[extname(path)] ?? "application/octet-stream";
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  const start = Number(match?.[1] ?? 0);
  const end = Math.min(Number(match?.[2] || bytes - 1), bytes - 1);
  response.writeHead(match ? 206 : 200, {
    "content-type": type,
    "content-length": end - start + 1,
    ...(match ? { "content-range": `bytes ${start}-${end}/${bytes}` } : {}),
  });
  createReadStream(path, { start, end }).pipe(response);
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
