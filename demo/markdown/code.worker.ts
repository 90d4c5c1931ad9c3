import { codeTokens } from "./grammars.ts";
import type { TokensRequest, TokensReply } from "./code-tokens.ts";

/** Looks at code off the page's thread: some code takes a grammar seconds. */
const port = globalThis as unknown as MessagePort;
port.addEventListener("message", ({ data }: MessageEvent<TokensRequest>) => {
  const { id, language, code } = data;
  port.postMessage({ id, tokens: codeTokens(language, code) } satisfies TokensReply);
});
