import type { CurveData } from "../../src/elements.ts";

/** Which of the three tasks of the benchmark: see test/README.md. */
export const QUALITY_TASKS = {
  continuation: "the text goes on",
  aware: "an answer, compressed with the question",
  agnostic: "an answer, compressed before the question came",
} as const;

/** Name of a task. */
export type QualityTask = keyof typeof QUALITY_TASKS;

interface QualityRow {
  readonly document: string;
  readonly task: string;
  readonly policy: string;
  /** Per cent of the full cache. */
  readonly budget: number;
  /** Mean KL divergence from the full cache's distributions, in nats per token. */
  readonly kl: number;
  /** Share of the tokens that both think the likeliest. */
  readonly agreement: number;
}

/** What `npm run quality` measured, as far as the page shows it. */
export interface MeasuredQuality {
  readonly rows: readonly QualityRow[];
  /** Under which conditions, in words. */
  readonly source: string;
}

/**
 * Read what `npm run quality` wrote.
 * @returns undefined for text that is something else
 * @throws Error naming what is wrong in a file of that kind
 */
export function parseQuality(text: string): MeasuredQuality | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { format, plan, runs, documents } = (value ?? {}) as Record<string, unknown>;
  if (!Array.isArray(documents) || typeof plan !== "object" || plan === null) return undefined;
  if (format !== 1)
    throw new Error(`format must be 1 of a file of measured quality: got ${format}`);
  const rows = (documents as Partial<QualityRow>[]).map((row, at) => {
    const { document, task, policy, budget, kl, agreement } = row;
    const texts = [document, task, policy];
    const numbers = [budget, kl, agreement];
    const isSound =
      texts.every((each) => typeof each === "string") &&
      numbers.every((each) => Number.isFinite(each));
    if (!isSound)
      throw new Error(`documents[${at}] lacks a figure: measure again, or open another file`);
    return { document, task, policy, budget, kl, agreement } as QualityRow;
  });
  const { model, promptTokens, documents: planned } = plan as Record<string, unknown>;
  const run = (Array.isArray(runs) ? runs.at(-1) : undefined) as
    Record<string, unknown> | undefined;
  const names = new Set(rows.map(({ document }) => document));
  const source =
    `${names.size} of ${planned} documents, ${promptTokens} tokens each, ${model}, ` +
    `${run?.["adapter"] ?? "an unknown adapter"}, ${String(run?.["date"] ?? "").slice(0, 10)}; by npm run quality.`;
  return { rows, source };
}

/** Mean over the documents of each policy's figures at each budget, budgets ascending. */
export function qualityCurves(
  { rows }: MeasuredQuality,
  task: QualityTask,
): ReadonlyMap<
  string,
  readonly { readonly budget: number; readonly kl: number; readonly agreement: number }[]
> {
  const byPolicy = new Map<string, Map<number, QualityRow[]>>();
  for (const row of rows) {
    if (row.task !== task) continue;
    const budgets = byPolicy.get(row.policy) ?? new Map<number, QualityRow[]>();
    byPolicy.set(row.policy, budgets);
    budgets.set(row.budget, [...(budgets.get(row.budget) ?? []), row]);
  }
  const mean = (all: readonly QualityRow[], of: (row: QualityRow) => number): number =>
    all.reduce((sum, row) => sum + of(row), 0) / all.length;
  return new Map(
    [...byPolicy].map(([policy, budgets]) => [
      policy,
      [...budgets]
        .sort(([a], [b]) => a - b)
        .map(([budget, all]) => ({
          budget,
          kl: mean(all, ({ kl }) => kl),
          agreement: mean(all, ({ agreement }) => agreement),
        })),
    ]),
  );
}

/** The curves as a chart, with a policy and a budget (per cent) marked. */
export function qualityChart(
  measured: MeasuredQuality,
  task: QualityTask,
  policy: string,
  budget: number,
): CurveData {
  const series = [...qualityCurves(measured, task)].map(([label, points]) => ({
    label,
    points: points.filter(({ kl }) => kl > 0).map((each) => [each.budget, each.kl] as const),
  }));
  return {
    xLabel: "budget, % of the prompt",
    yLabel: "KL divergence from the full cache, nats per token",
    series,
    chosen: policy,
    at: budget,
  };
}

/**
 * What was measured round a budget, between the two measured ones beside it (straight on logarithmic
 * axes for KL, straight for agreement); undefined outside of what was measured.
 */
export function qualityAt(
  measured: MeasuredQuality,
  task: QualityTask,
  policy: string,
  budget: number,
): { readonly kl: number; readonly agreement: number } | undefined {
  const points = qualityCurves(measured, task).get(policy) ?? [];
  const above = points.findIndex((point) => point.budget >= budget);
  const high = points[above];
  const low = points[Math.max(above - 1, 0)];
  if (high === undefined || low === undefined || budget < low.budget) return undefined;
  const span = Math.log(high.budget / low.budget);
  const share = span > 0 ? Math.log(budget / low.budget) / span : 0;
  return {
    kl: low.kl * (high.kl / low.kl) ** share,
    agreement: low.agreement + (high.agreement - low.agreement) * share,
  };
}
