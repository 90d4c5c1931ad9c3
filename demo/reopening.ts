import { GpuOutOfMemoryError, SessionFormatError } from "../src/index.ts";
import { formatDuration, formatMiB, formatTokens } from "./format.ts";

/** What became of a conversation's saved cache when it was to be opened. */
export type Reopening = Reopened | ReadAgain;

/** It is in the engine again. */
export interface Reopened {
  /** Tokens that needn't be read again. */
  readonly tokens: number;
  readonly bytes: number;
  readonly ms: number;
}

/** It couldn't be opened: the next answer reads the conversation. */
export interface ReadAgain {
  /** `what was saved is damaged` */
  readonly why: string;
}

/** What the fields of a cache's options are called on this page. */
const CACHE_FIELDS: Readonly<Record<string, string>> = {
  "cache.policy": "policy",
  "cache.budget": "budget",
  "cache.layerBudgets": "budget",
  "cache.windowSize": "window",
  "cache.beta": "beta",
  "cache.kvDtype": "type of numbers",
};

/** `reopened from what was saved: 3,012 tokens, 9.8 MiB, 0.38 s` */
export function reopeningText(reopening: Reopening): string {
  if ("why" in reopening) return `read again: ${reopening.why}`;
  const { tokens, bytes, ms } = reopening;
  const figures = [formatTokens(tokens), formatMiB(bytes), formatDuration(ms)].join(", ");
  return `reopened from what was saved: ${figures}`;
}

/** Why a saved cache couldn't be opened, and whether it never will be. */
export function describeRefusal(error: unknown): ReadAgain & { readonly isUseless: boolean } {
  const isUseless = error instanceof SessionFormatError && !isOfAnother(error);
  return { why: whyRefused(error), isUseless };
}

/** It fits another engine than this one: the model, or the settings, may come back. */
function isOfAnother({ field }: SessionFormatError): boolean {
  return field.startsWith("model.") || field.startsWith("cache.");
}

function whyRefused(error: unknown): string {
  if (error instanceof GpuOutOfMemoryError) return "the GPU has no room for what was saved";
  if (!(error instanceof SessionFormatError)) return "what was saved couldn’t be opened";
  const { field } = error;
  if (field.startsWith("model.")) return "what was saved is of another model";
  if (field.startsWith("cache.")) {
    return `what was saved has another ${CACHE_FIELDS[field] ?? "kind of cache"}`;
  }
  if (field === "its version") return "what was saved is of another version of this page";
  return "what was saved is damaged";
}
