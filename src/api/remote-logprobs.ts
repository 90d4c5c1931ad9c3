import type { StepLogprobs, TokenLogprob } from "../engine/generate-types.ts";

/** A token of `/chat/completions`; a server may send anything. */
interface WireToken {
  readonly token?: unknown;
  readonly logprob?: unknown;
  readonly bytes?: unknown;
  readonly top_logprobs?: unknown;
}

/**
 * The `logprobs` of a choice, as OpenAI's API reference describes them: `content` in chats, parallel
 * lists in the older `/completions`. What has another shape is left out.
 */
export function readRemoteLogprobs(wire: unknown): StepLogprobs[] {
  const { content, ...lists } = (wire ?? {}) as { readonly content?: unknown };
  return Array.isArray(content) ? content.flatMap(readStep) : readLists(lists);
}

function readStep(wire: WireToken | null): StepLogprobs[] {
  const best = Array.isArray(wire?.top_logprobs) ? wire.top_logprobs : [];
  return readToken(wire).map((token) => ({ ...token, top: best.flatMap(readToken) }));
}

function readToken(wire: WireToken | null): TokenLogprob[] {
  const { token, logprob, bytes } = wire ?? {};
  if (typeof token !== "string" || typeof logprob !== "number") return [];
  return [tokenOf(token, logprob, Array.isArray(bytes) ? bytes : undefined)];
}

function readLists(wire: {
  readonly tokens?: unknown;
  readonly token_logprobs?: unknown;
  readonly top_logprobs?: unknown;
}): StepLogprobs[] {
  const { tokens, token_logprobs: logprobs, top_logprobs: tops } = wire;
  if (!Array.isArray(tokens) || !Array.isArray(logprobs)) return [];
  return tokens.flatMap((token: unknown, i) => {
    const top = Object.entries((Array.isArray(tops) ? tops[i] : undefined) ?? {});
    const best = top.flatMap(([text, logprob]) => readToken({ token: text, logprob }));
    const ranked = best.toSorted((a, b) => b.logprob - a.logprob);
    return readToken({ token, logprob: logprobs[i] as unknown }).map((step) => ({
      ...step,
      top: ranked,
    }));
  });
}

function tokenOf(text: string, logprob: number, bytes: number[] | undefined): TokenLogprob {
  return { tokenId: undefined, text, logprob, bytes: bytes ?? [...new TextEncoder().encode(text)] };
}
