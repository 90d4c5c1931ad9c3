import { readFileSync } from "node:fs";
import { bootstrapMean, estimateText } from "./bootstrap.ts";
import type { Divergence } from "./compare.ts";
import type { QualityResults } from "./results.ts";
import { table } from "./table.ts";

/** What kvpress gives for one document (made by kvpress_quality.py). */
export interface ReferenceRow extends Divergence {
  readonly document: string;
  readonly policy: string;
  readonly budget: number;
}

interface ReferenceFile {
  readonly header: { readonly versions: Readonly<Record<string, string>> };
  readonly promptTokens: number;
  readonly rows: readonly ReferenceRow[];
}

/** The committed figures of kvpress. */
export function readReference(): ReferenceFile {
  return JSON.parse(
    readFileSync(new URL("kvpress.json", import.meta.url), "utf8"),
  ) as ReferenceFile;
}

/** Ours beside theirs, over the documents that both have; empty where there are none. */
export function referenceTable(
  { documents }: QualityResults,
  reference: readonly ReferenceRow[],
): string {
  const settings = new Map(reference.map((row) => [`${row.policy} ${row.budget}`, row]));
  const rows = [...settings.values()].flatMap(({ policy, budget }) => {
    const pairs = reference
      .filter((row) => row.policy === policy && row.budget === budget)
      .flatMap((theirs) => {
        const ours = documents.find(
          (row) =>
            row.document === theirs.document &&
            row.task === "continuation" &&
            row.policy === policy &&
            row.budget === budget,
        );
        return ours === undefined ? [] : [{ ours, theirs }];
      });
    if (pairs.length === 0) return [];
    const both = (of: (row: Divergence) => number, digits: number): string[] =>
      (["ours", "theirs"] as const).map((side) =>
        (pairs.reduce((sum, pair) => sum + of(pair[side]), 0) / pairs.length).toFixed(digits),
      );
    const difference = bootstrapMean(pairs.map(({ ours, theirs }) => ours.kl - theirs.kl));
    return [
      [
        policy,
        `${budget} %`,
        String(pairs.length),
        ...both((row) => row.kl, 4),
        estimateText(difference, 4),
        ...both((row) => 100 * row.agreement, 0),
        ...both((row) => row.deltaNll, 3),
      ],
    ];
  });
  if (rows.length === 0) return "";
  const header = ["policy", "budget", "documents", "KL", "kvpress", "difference"];
  return [
    "## kvpress beside it",
    "The same documents and tokens in kvpress 0.5.5 (f32, `test/quality/kvpress_quality.py`), while the text goes on. " +
      "Its PyramidKV rounds budgets in another way, and falls back to equal ones, without a word, where the prompt is short " +
      "for the budget: then its figures are its SnapKV's.",
    table([...header, "top-1 %", "kvpress", "Δ NLL", "kvpress"], rows),
  ].join("\n\n");
}
