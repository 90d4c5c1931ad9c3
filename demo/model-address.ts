import type { ModelChoice } from "./chat-state.ts";

/** What the field takes: an https address, or a repository of the hub with, for GGUF, a file in it. */
export const ADDRESS_PATTERN =
  "https://\\S+\\s*|[\\w\\-][\\w.\\-]*/[\\w\\-][\\w.\\-]*(/[\\w.\\-\\/]+)?";

/**
 * A model by what the user wrote: `https://…/model.gguf`, `owner/name`, or `owner/name/file.gguf`. An
 * address whose last part is no file is that of a folder.
 * @returns undefined for what begins as an address and is none
 */
export function parseModelAddress(text: string): ModelChoice | undefined {
  const wanted = text.trim();
  if (wanted.startsWith("https://")) {
    if (!URL.canParse(wanted)) return undefined;
    const url = new URL(wanted);
    return { name: nameOfUrl(url), source: url };
  }
  const [owner, name, ...path] = wanted.split("/");
  const repository = `${owner}/${name}`;
  if (path.length === 0) return { name: repository, source: { repository } };
  const file = path.join("/");
  return { name: path.at(-1) ?? file, source: { repository, file } };
}

/** What a model at an address is called: the last part of it. */
export function nameOfUrl(url: URL): string {
  return url.pathname.split("/").findLast((part) => part !== "") ?? url.host;
}
