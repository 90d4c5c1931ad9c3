import { cpus, loadavg } from "node:os";
import type { GpuContext } from "../../src/gpu/device.ts";
import type { DocumentRow, PasskeyRow, QualityBench, SpeedRow } from "./measure.ts";
import type { Model } from "./model.ts";
import type { Passkey } from "./passkey.ts";
import type { QualityPlan } from "./plan.ts";

/** One run of the command, or what it came to before it was broken off. */
export interface QualityRun {
  /** ISO 8601, when it began. */
  readonly date: string;
  readonly minutes: number;
  /** Cores and Node's version. */
  readonly machine: string;
  readonly adapter: string;
  /** Load averages over one minute, before and after. */
  readonly load: readonly [before: number, after: number];
}

/** What `npm run quality` writes. */
export interface QualityResults {
  readonly format: 1;
  readonly runs: readonly QualityRun[];
  /** What was to be measured: results of another plan or model are never mixed with these. */
  readonly plan: {
    readonly model: string;
    readonly promptTokens: number;
    readonly scoredTokens: number;
    readonly budgets: readonly number[];
    readonly policies: readonly string[];
    readonly documents: number;
  };
  readonly documents: readonly DocumentRow[];
  readonly passkeys: readonly PasskeyRow[];
  readonly speed: readonly SpeedRow[];
}

/**
 * Measure everything of a plan, but what `before` has already. Results come as they grow, so that a run which is broken
 * off is one over fewer documents, and can be gone on with.
 */
export async function* measureAll(
  model: Model,
  plan: QualityPlan,
  bench: QualityBench,
  log: (line: string) => void,
  before?: QualityResults,
): AsyncGenerator<QualityResults> {
  const started = performance.now();
  const date = new Date().toISOString();
  const loadBefore = loadavg()[0];
  const known = planOf(model, plan);
  const isSame = JSON.stringify(before?.plan) === JSON.stringify(known);
  const { runs, documents: old, passkeys: oldKeys } = isSame && before ? before : NOTHING;
  const documents = [...old];
  const passkeys = [...oldKeys];
  const speed: SpeedRow[] = [];
  const results = (): QualityResults => ({
    format: 1,
    runs: [
      ...runs,
      {
        date,
        minutes: (performance.now() - started) / 60_000,
        machine: `${cpus().length} x ${cpus()[0]?.model ?? process.arch}, Node ${process.version}`,
        adapter: adapterText(model.runtime.gpu),
        load: [loadBefore, loadavg()[0]],
      },
    ],
    plan: known,
    documents,
    passkeys,
    speed,
  });
  const steps = Math.max(plan.documents.length, plan.passkeys.length);
  for (let i = 0; i < steps; i++) {
    const [document, passkey] = [plan.documents[i], plan.passkeys[i]];
    if (document !== undefined && !documents.some((row) => row.document === document.name)) {
      log(`document ${i + 1} of ${plan.documents.length}: ${document.name}, ${document.kind}`);
      documents.push(...(await bench.document(document)));
      yield results();
    }
    if (passkey !== undefined && !passkeys.some((row) => isOf(row, passkey))) {
      log(`passkey ${i + 1} of ${plan.passkeys.length}: at ${100 * passkey.depth} %`);
      passkeys.push(...(await bench.passkey(passkey)));
      yield results();
    }
  }
  const [first] = plan.documents;
  if (plan.decodedTokens > 0 && first !== undefined) {
    log("decoding");
    speed.push(...(await bench.speed(first)));
  }
  yield results();
}

const NOTHING = { runs: [], documents: [], passkeys: [] };

function planOf(model: Model, plan: QualityPlan): QualityResults["plan"] {
  const { promptTokens, scoredTokens, budgets, policies, documents } = plan;
  return {
    model: model.name,
    promptTokens,
    scoredTokens,
    budgets,
    policies: policies.map(({ label }) => label),
    documents: documents.length,
  };
}

function isOf(row: PasskeyRow, { document, depth }: Passkey): boolean {
  return row.document === document.name && row.depth === depth;
}

function adapterText({ info }: GpuContext): string {
  return info.description || info.device || info.vendor;
}
