import { bootstrapMean, bootstrapRatio, estimateText } from "./bootstrap.ts";
import { type ReferenceRow, referenceTable } from "./reference.ts";
import type { DocumentRow, Task } from "./measure.ts";
import type { QualityResults } from "./results.ts";
import { table } from "./table.ts";

/** Other policies are compared with this one. */
const BASE = "pyramidkv";

const TASKS: Readonly<Record<Task, string>> = {
  continuation: "The text goes on",
  aware: "An answer, compressed with the question",
  agnostic: "An answer, compressed before the question came",
};

/** Results as a page of Markdown; `reference` is what kvpress gives for the same documents. */
export function formatResults(
  results: QualityResults,
  reference: readonly ReferenceRow[] = [],
): string {
  const { documents } = results;
  const { policies, budgets } = results.plan;
  const tasks = Object.entries(TASKS) as [Task, string][];
  const kinds = new Set(documents.map(({ kind }) => kind));
  const sections = [
    heading(results),
    "## KL divergence from the full cache",
    "Mean over documents, in nats per token, with the 95 % interval of a bootstrap over documents; below it the " +
      `ratio to ${BASE} at the same budget, paired by document (geometric mean, same interval): below 1 is better.`,
    ...tasks.flatMap(([task, title]) => [
      `### ${title}`,
      byBudget(budgets, policies, (policy, budget) => {
        const own = select(documents, task, policy, budget);
        const base = select(documents, task, BASE, budget);
        const mean = estimateText(bootstrapMean(own.map(({ kl }) => kl)), 3);
        if (policy === BASE) return mean;
        const ratio = bootstrapRatio(kls(own), kls(base));
        return `${mean}<br>× ${estimateText(ratio, 2)}`;
      }),
    ]),
    "## Agreement and likelihood",
    "Share of tokens that the full cache thinks the likeliest, too; Δ NLL, in nats per token, of what follows.",
    ...tasks.flatMap(([task, title]) => [
      `### ${title}`,
      byBudget(budgets, policies, (policy, budget) => {
        const rows = select(documents, task, policy, budget);
        const nll = mean(rows.map(({ deltaNll }) => deltaNll));
        const agreement = percent(mean(rows.map((row) => row.agreement)));
        return `${agreement}, ${nll < 0 ? "−" : "+"}${Math.abs(nll).toFixed(2)}`;
      }),
    ]),
    "## KL divergence by kind of text",
    "While the text goes on.",
    table(
      ["policy", "kind", ...budgets.map((budget) => `${budget} %`)],
      policies.flatMap((policy) =>
        [...kinds].map((kind) => [
          policy,
          kind,
          ...budgets.map((budget) =>
            mean(
              kls(select(documents, "continuation", policy, budget).filter((r) => r.kind === kind)),
            ).toFixed(3),
          ),
        ]),
      ),
    ),
    passkeySection(results),
    memorySection(results),
    referenceTable(results, reference),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function heading({ runs, plan, documents }: QualityResults): string {
  const names = new Map(documents.map(({ document, kind }) => [document, kind]));
  const rows = documents.map((row) => row.rows);
  const minutes = runs.reduce((sum, run) => sum + run.minutes, 0);
  const load = runs.flatMap((run) => run.load);
  const [{ adapter, machine, date }] = runs;
  return [
    "# What compression costs in quality",
    `Made by \`npm run quality\`: ${plan.model}, cache f16, on ${adapter} (${machine}), ${date.slice(0, 10)}, ` +
      `${minutes.toFixed(0)} minutes, load ${Math.min(...load).toFixed(1)} to ${Math.max(...load).toFixed(1)}. ` +
      `${names.size} of ${plan.documents} documents were measured: ` +
      `${[...names].map(([name, kind]) => `${name} (${kind})`).join(", ")}.` +
      (names.size < plan.documents
        ? " The run was broken off: figures of so few documents are examples, and say little of others."
        : ""),
    `Each is compressed after ${plan.promptTokens} tokens; then come up to ${plan.scoredTokens} (at least ` +
      `${Math.min(...rows)}) teacher-forced tokens, each predicted from the compressed cache. Answers are the full ` +
      "cache's own, greedily. Policies have their default options; budgets are shares of the prompt, the same in all for " +
      "every policy.",
  ].join("\n\n");
}

function passkeySection({ passkeys, plan: { budgets } }: QualityResults): string {
  const full = passkeys.filter((row) => row.policy === "full" && row.task === "aware");
  const solved = full.filter(({ found }) => found).length;
  if (full.length === 0) return "";
  const policies = [...new Set(passkeys.map(({ policy }) => policy))].filter((p) => p !== "full");
  const cell = (task: string, policy: string, budget: number): string => {
    const rows = passkeys.filter(
      (row) => row.task === task && row.policy === policy && row.budget === budget,
    );
    const found = rows.filter((row) => row.found).length;
    return `${found}/${rows.length} (${percent(mean(rows.map((row) => row.digitsFound)))})`;
  };
  const sections = (["aware", "agnostic"] as const).map((task) =>
    [
      task === "aware" ? "### Compressed with the question" : "### Compressed before the question",
      table(
        ["policy", ...budgets.map((budget) => `${budget} %`)],
        policies.map((policy) => [policy, ...budgets.map((budget) => cell(task, policy, budget))]),
      ),
    ].join("\n\n"),
  );
  return [
    "## Passkey",
    `Five digits at depths of 10 to 90 %; the full cache finds ${solved} of ${full.length}, and only those count. ` +
      "Found whole, and in brackets the share of digits.",
    ...sections,
  ].join("\n\n");
}

function memorySection({ documents, speed, plan }: QualityResults): string {
  const { budgets, policies } = plan;
  const bytes = (policy: string, budget: number): string => {
    const rows = select(documents, "aware", policy, budget);
    const of = (part: "final" | "peak" | "full"): number =>
      mean(rows.map((row) => row.bytes[part]));
    return `${mb(of("final"))} (${percent(of("final") / of("full"))}), peak ${mb(of("peak"))}`;
  };
  const rates = (policy: string, budget: number): string => {
    const rows = speed.filter((row) => row.policy === policy && row.budget === budget);
    return mean(rows.map(({ tokensPerSecond }) => tokensPerSecond)).toFixed(1);
  };
  const memory = [
    "## Memory",
    "Bytes of the whole cache after a compression (64 spare rows per head, tables and query ring included), their " +
      "share of the full cache's, and the peak of the prefill.",
    byBudget(budgets, policies, bytes),
  ];
  if (speed.length === 0) return memory.join("\n\n");
  return [
    ...memory,
    "## Decode speed",
    "Tokens per second, and the full cache's right after each (on a busy machine only such neighbours compare).",
    byBudget(
      budgets,
      policies,
      (policy, budget) => `${rates(policy, budget)}, full ${rates(`full after ${policy}`, budget)}`,
    ),
  ].join("\n\n");
}

function select(
  documents: readonly DocumentRow[],
  task: Task,
  policy: string,
  budget: number,
): DocumentRow[] {
  return documents.filter(
    (row) => row.task === task && row.policy === policy && row.budget === budget,
  );
}

function byBudget(
  budgets: readonly number[],
  policies: readonly string[],
  cell: (policy: string, budget: number) => string,
): string {
  return table(
    ["policy", ...budgets.map((budget) => `${budget} %`)],
    policies.map((policy) => [policy, ...budgets.map((budget) => cell(policy, budget))]),
  );
}

const kls = (rows: readonly DocumentRow[]): number[] => rows.map(({ kl }) => kl);
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
