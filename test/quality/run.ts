import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseQuality } from "../../demo/memory/quality.ts";
import { readArgs, UsageError } from "../../src/cli/args.ts";
import { openDawn } from "../../src/cli/dawn.ts";
import { fetchModel } from "../../src/cli/fetch-model.ts";
import { withAdapter } from "../../src/cli/launch.ts";
import { formatResults } from "./markdown.ts";
import { QualityBench } from "./measure.ts";
import { openQualityModel } from "./model.ts";
import { FULL_PLAN, QUICK_PLAN } from "./plan.ts";
import { readReference } from "./reference.ts";
import { measureAll, type QualityResults } from "./results.ts";

const OPTIONS = {
  quick: { type: "boolean" },
  report: { type: "boolean" },
  json: { type: "string" },
  markdown: { type: "string" },
  page: { type: "string" },
} as const;

/**
 * `npm run quality`: measures what every policy and budget costs in quality on the default model, writes the figures
 * after each document, and prints tables at the end. A run that was broken off is gone on with. `--quick` is the small
 * part that the tests run, `--report` prints the tables of what was measured, `--page` writes what the memory page shows.
 */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const args = readArgs(argv, OPTIONS);
    if (args.flag("report")) {
      const text = await readFile(args.required("json"), "utf8");
      await report(JSON.parse(text) as QualityResults, args.text("markdown"));
      const page = args.text("page");
      if (page !== undefined) await write(page, JSON.stringify(parseQuality(text)));
      return 0;
    }
    return await withAdapter(async () => {
      await run(args.flag("quick"), args.required("json"), args.text("markdown"));
      return 0;
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`npm run quality: ${error.message}\n`);
    return 2;
  }
}

async function run(quick: boolean, json: string, markdown: string | undefined): Promise<void> {
  const plan = quick ? QUICK_PLAN : FULL_PLAN;
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const model = await openQualityModel(await openDawn(), await fetchModel({ log }));
  const bench = await QualityBench.open(model, plan);
  let results: QualityResults | undefined;
  try {
    const before = await earlier(json, log);
    for await (results of measureAll(model, plan, bench, log, before)) {
      await write(json, `${JSON.stringify(results)}\n`);
    }
  } finally {
    bench.destroy();
    model.destroy();
  }
  if (results !== undefined) await report(results, markdown);
}

async function report(results: QualityResults, markdown: string | undefined): Promise<void> {
  const text = formatResults(results, readReference().rows);
  process.stdout.write(text);
  if (markdown !== undefined) await write(markdown, text);
}

/** What an earlier run has left in the file. */
async function earlier(
  path: string,
  log: (line: string) => void,
): Promise<QualityResults | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  log(`going on with what is in ${path}, if it is of this plan; to measure anew, delete it`);
  return JSON.parse(text) as QualityResults;
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
