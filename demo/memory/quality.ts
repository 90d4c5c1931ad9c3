import type { CurveData } from "../../src/elements.ts";

/** Which of the three tasks of the benchmark: see test/README.md. */
export const QUALITY_TASKS = {
  continuation: "the text goes on",
  aware: "an answer, compressed with the question",
  agnostic: "an answer, compressed before the question came",
} as const;

/** What is drawn of each budget. */
export const QUALITY_FIGURES = {
  kl: "KL divergence from the full cache, nats per token",
  agreement: "share of likeliest tokens that are the same",
  keptMass: "share of the window’s attention that is kept",
} as const;

/** Name of such a figure. */
export type QualityFigure = keyof typeof QUALITY_FIGURES;

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
  readonly agreement: number;
  readonly keptMass?: number;
}

/** What a budget costs, in the mean over the documents. */
export interface QualityPoint {
  /** Per cent of the full cache. */
  readonly budget: number;
  /** Nats per token from the full cache. */
  readonly kl: number;
  /** Share of the tokens that both think the likeliest. */
  readonly agreement: number;
  /** Share of the window's attention that the kept rows carry, where the policy ranks by it. */
  readonly keptMass?: number;
}

/** What `npm run quality` measured, as far as the page shows it: by task and policy, budgets ascending. */
export interface MeasuredQuality {
  readonly curves: Readonly<Record<QualityTask, Readonly<Record<string, readonly QualityPoint[]>>>>;
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
    const { document, task, policy, budget, kl, agreement, keptMass } = row;
    const texts = [document, task, policy];
    const numbers = [budget, kl, agreement];
    const isSound =
      texts.every((each) => typeof each === "string") &&
      numbers.every((each) => Number.isFinite(each));
    if (!isSound)
      throw new Error(`documents[${at}] lacks a figure: measure again, or open another file`);
    const mass = Number.isFinite(keptMass) ? { keptMass } : {};
    return { document, task, policy, budget, kl, agreement, ...mass } as QualityRow;
  });
  const { model, promptTokens, documents: planned } = plan as Record<string, unknown>;
  const run = (Array.isArray(runs) ? runs.at(-1) : undefined) as
    Record<string, unknown> | undefined;
  const names = new Set(rows.map(({ document }) => document));
  const source =
    `${names.size} of ${planned} documents, ${promptTokens} tokens each, on ${model} (other models and lengths differ), ` +
    `${run?.["adapter"] ?? "an unknown adapter"}, ${String(run?.["date"] ?? "").slice(0, 10)}; by npm run quality.`;
  const tasks = Object.keys(QUALITY_TASKS) as QualityTask[];
  const curves = Object.fromEntries(tasks.map((task) => [task, curvesOf(rows, task)]));
  return { curves: curves as unknown as MeasuredQuality["curves"], source };
}

function curvesOf(rows: readonly QualityRow[], task: QualityTask): Record<string, QualityPoint[]> {
  const ofTask = rows.filter((row) => row.task === task);
  const policies = [...new Set(ofTask.map(({ policy }) => policy))];
  return Object.fromEntries(
    policies.map((policy) => {
      const own = ofTask.filter((row) => row.policy === policy);
      const budgets = [...new Set(own.map(({ budget }) => budget))].sort((a, b) => a - b);
      return [policy, budgets.map((budget) => pointOf(own, budget))];
    }),
  );
}

/** Means over the documents, to six digits that count. */
function pointOf(rows: readonly QualityRow[], budget: number): QualityPoint {
  const at = rows.filter((row) => row.budget === budget);
  const mean = (values: readonly number[]): number =>
    Number((values.reduce((sum, value) => sum + value, 0) / values.length).toPrecision(6));
  const masses = at.flatMap(({ keptMass }) => keptMass ?? []);
  return {
    budget,
    kl: mean(at.map(({ kl }) => kl)),
    agreement: mean(at.map(({ agreement }) => agreement)),
    ...(masses.length === at.length ? { keptMass: mean(masses) } : {}),
  };
}

/** The curves as a chart, with a policy and a budget (per cent) marked. */
export function qualityChart(
  measured: MeasuredQuality,
  task: QualityTask,
  policy: string,
  budget: number,
  figure: QualityFigure = "kl",
): CurveData {
  const series = Object.entries(measured.curves[task])
    .map(([label, points]) => ({
      label,
      points: points
        .map((point) => [point.budget, point[figure] ?? 0] as const)
        .filter(([, value]) => value > 0),
    }))
    .filter(({ points }) => points.length > 0);
  return {
    xLabel: "budget, % of the prompt",
    yLabel: QUALITY_FIGURES[figure],
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
): QualityPoint | undefined {
  const points = measured.curves[task][policy] ?? [];
  const above = points.findIndex((point) => point.budget >= budget);
  const high = points[above];
  const low = points[Math.max(above - 1, 0)];
  if (high === undefined || low === undefined || budget < low.budget) return undefined;
  const span = Math.log(high.budget / low.budget);
  const share = span > 0 ? Math.log(budget / low.budget) / span : 0;
  const between = (a: number, b: number): number => a + (b - a) * share;
  const hasMass = low.keptMass !== undefined && high.keptMass !== undefined;
  return {
    budget,
    kl: low.kl * (high.kl / low.kl) ** share,
    agreement: between(low.agreement, high.agreement),
    ...(hasMass ? { keptMass: between(low.keptMass, high.keptMass) } : {}),
  };
}
