import { cacheLines } from "./cache-table.ts";
import { columns } from "./columns.ts";
import type { BenchCase, BenchReport, Phase } from "./report.ts";

/** What a report says, to be read on a terminal. */
export function formatReport(report: BenchReport): string {
  const { machine, adapter, roofline, model, loading, memory } = report;
  const { numLayers } = model.config;
  const { subgroupMinSize: least, subgroupMaxSize: most } = adapter;
  const subgroups = least === most ? `${least}` : `${least}–${most}`;
  const perLayer = (report.dispatchesPerToken / numLayers).toFixed(1);
  const loads = (averages: readonly number[]): string =>
    averages.map((average) => average.toFixed(1)).join(" ");
  return [
    `model     ${model.config.name}: ${model.source}`,
    `          ${numLayers} layers, ${mib(model.weightBytesPerToken)} of weights read per token, ` +
      `${report.dispatchesPerToken} dispatches per token (${perLayer} per layer)`,
    `adapter   ${adapter.description || adapter.device}, subgroups of ${subgroups}, ` +
      `${adapter.features.join(" ") || "no optional features"}`,
    `          reads ${giga(roofline.readBytesPerSecond)} GB/s, multiplies and adds ` +
      `${giga(roofline.flopsPerSecond)} GFLOP/s (measured now)`,
    ...Object.entries(report.kernelChoices).map(
      ([role, choice], i) => `${i === 0 ? "kernels " : "        "}  ${role}: ${choice}`,
    ),
    `machine   ${machine.cores} x ${machine.cpu}, Node ${machine.node}, ` +
      `load ${loads(machine.loadBefore)} before, ${loads(machine.loadAfter)} after`,
    `loading   ${loading.seconds.toFixed(1)} s, of which ${loading.compileSeconds.toFixed(1)} s compiling; ` +
      `first answer (2 tokens) after ${loading.firstAnswerSeconds.toFixed(1)} s`,
    `memory    ${mib(memory.peak)} on the GPU at peak`,
    "",
    ...(report.cases.length === 0
      ? []
      : [columns([CASE_HEADER, ...report.cases.flatMap((one) => caseRows(one, report))]), ""]),
    ...cacheLines(report.cache),
  ].join("\n");
}

const CASE_HEADER = [
  "prompt",
  "phase",
  "tokens/s",
  "slowest–fastest",
  "wall s",
  "cores busy",
  "GFLOP/s",
  "of peak",
  "weights GB/s",
  "of peak",
  "KV cache",
  "load",
];

function caseRows(one: BenchCase, report: BenchReport): string[][] {
  const row = (name: string, phase: Phase): string[] => {
    const { roofline } = report;
    const rates = phase.runs.map(({ tokens, wallSeconds }) => tokens / wallSeconds);
    const bytes = phase.weightBytesPerSecond;
    return [
      String(one.promptTokenIds.length),
      name,
      phase.tokensPerSecond.toFixed(1),
      `${Math.min(...rates).toFixed(1)}–${Math.max(...rates).toFixed(1)}`,
      phase.runs.map(({ wallSeconds }) => wallSeconds.toFixed(2)).join(" "),
      busyCores(phase),
      giga(phase.flopsPerSecond),
      percent(phase.flopsPerSecond / roofline.flopsPerSecond),
      bytes === undefined ? "" : giga(bytes),
      bytes === undefined ? "" : percent(bytes / roofline.readBytesPerSecond),
      `${mib(one.kvBytes)} ${report.kvDtype}`,
      `${one.loadBefore.toFixed(1)}–${one.loadAfter.toFixed(1)}`,
    ];
  };
  return [row("prefill", one.prefill), row("decode", one.decode)];
}

/** Cores that the driver's threads kept busy: as many as the machine has, unless others used them. */
function busyCores({ runs }: Phase): string {
  let [cpu, wall] = [0, 0];
  for (const { workerCpuSeconds, wallSeconds } of runs) {
    if (workerCpuSeconds === undefined) return "";
    cpu += workerCpuSeconds;
    wall += wallSeconds;
  }
  return (cpu / wall).toFixed(2);
}

const giga = (value: number): string => (value / 1e9).toFixed(value < 1e10 ? 2 : 1);
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
