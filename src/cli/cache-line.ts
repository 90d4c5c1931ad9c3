import type { CacheReport } from "../index.ts";

/** What the cache policy did with a prompt, in one line. */
export function cacheLine(report: CacheReport): string {
  const { policy, evicted, passes, tokens, bytes, fullBytes, layers } = report;
  if (policy === "full") return "cache: full";
  const how = passes > 1 ? `, read in ${passes} passes` : "";
  if (!evicted) return `cache: ${policy} keeps all ${tokens} tokens, within its budget${how}`;
  const rows = layers.map(({ budget }) => budget);
  const [most, least] = [Math.max(...rows), Math.min(...rows)];
  const kept = most === least ? `${most}` : `${most} to ${least}`;
  return (
    `cache: ${policy} keeps ${kept} of ${tokens} tokens per layer, ` +
    `${(bytes / 1e6).toFixed(2)} MB instead of ${(fullBytes / 1e6).toFixed(2)} MB${how}`
  );
}
