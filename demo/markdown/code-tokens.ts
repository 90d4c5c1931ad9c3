/** What has a colour of its own in code. */
export type CodeKind = "comment" | "keyword" | "number" | "string";

/** A stretch of code, by its characters. */
export interface CodeToken {
  readonly kind: CodeKind;
  readonly start: number;
  readonly end: number;
}

/** What the worker is asked. */
export interface TokensRequest {
  readonly id: number;
  readonly language: string;
  readonly code: string;
}

/** What it answers. */
export interface TokensReply {
  readonly id: number;
  readonly tokens: readonly CodeToken[];
}

/** A grammar that takes longer is given up: that is no code that anybody reads. */
const PATIENCE_MS = 10_000;

let current: Worker | undefined;
let lastId = 0;
const waiting = new Map<number, (tokens: readonly CodeToken[]) => void>();

/** Fetch what knows the languages, ahead of the first code. */
export function startCodeWorker(): Worker {
  if (current !== undefined) return current;
  const worker = new Worker(new URL("./code.worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<TokensReply>) => {
    waiting.get(data.id)?.(data.tokens);
  });
  worker.addEventListener("error", endWorker);
  current = worker;
  return worker;
}

/** The parts of a code that have a colour; none where its language isn't known, or can't be had. */
export async function codeTokens(language: string, code: string): Promise<readonly CodeToken[]> {
  const id = ++lastId;
  const timer = setTimeout(endWorker, PATIENCE_MS);
  try {
    return await new Promise((resolve) => {
      waiting.set(id, resolve);
      const worker = startCodeWorker();
      worker.postMessage({ id, language, code } satisfies TokensRequest, []);
    });
  } finally {
    clearTimeout(timer);
    waiting.delete(id);
  }
}

/** The next code begins with another one. */
function endWorker(): void {
  current?.terminate();
  current = undefined;
  for (const resolve of waiting.values()) resolve([]);
}
