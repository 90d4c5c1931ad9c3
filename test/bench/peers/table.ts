import { median } from "../../../src/cli/bench/measure.ts";
import type { BenchReport } from "../../../src/cli/bench/report.ts";
import { columns } from "../../../src/cli/bench/columns.ts";
import type { PeerRun } from "./protocol.ts";
import type { PeerResult } from "./run.ts";

const HEADER = [
  "on the same adapter",
  "prompt",
  "prefill tokens/s",
  "ours is",
  "decode tokens/s",
  "ours is",
  "same tokens",
  "runs",
  "load",
];

/** Peers beside ours: a row for each and each prompt, and one line for each that could not be measured in full. */
export function formatPeers(
  report: Pick<BenchReport, "cases">,
  peers: readonly PeerResult[],
): string {
  const rows = report.cases.flatMap(({ promptTokenIds, tokenIds, prefill, decode, ...ours }) => {
    const prompt = String(promptTokenIds.length);
    const loads = [ours.loadBefore, ours.loadAfter];
    const [us, steps] = [prefill.tokensPerSecond, decode.tokensPerSecond];
    const counts = [`${tokenIds.length}`, String(prefill.runs.length), range(loads)];
    const first = ["ziggurat", prompt, us.toFixed(1), "", steps.toFixed(1), "", ...counts];
    const others = peers.flatMap(({ name, device, runs }) => {
      const own = runs.filter(({ promptTokens }) => promptTokens === promptTokenIds.length);
      const [run] = own;
      if (run === undefined) return [];
      const rates = peerRates(own);
      return [
        [
          `${name} (${device ?? "unknown device"})`,
          prompt,
          rates.prefill.toFixed(1),
          times(us / rates.prefill),
          rates.decode.toFixed(1),
          times(steps / rates.decode),
          `${matching(run.tokenIds, tokenIds)} of ${run.tokenIds.length}`,
          String(own.length),
          range(own.map(({ load }) => load)),
        ],
      ];
    });
    return [first, ...others];
  });
  const problems = peers.flatMap(({ name, problem }) => (problem ? [`${name}: ${problem}`] : []));
  return [columns([HEADER, ...rows]), ...problems, ""].join("\n");
}

/** Tokens per second in the run with the median time. */
export function peerRates(runs: readonly PeerRun[]): { prefill: number; decode: number } {
  const [{ promptTokens, tokenIds }] = runs as [PeerRun];
  return {
    prefill: promptTokens / median(runs.map(({ prefillSeconds }) => prefillSeconds)),
    decode: (tokenIds.length - 1) / median(runs.map(({ decodeSeconds }) => decodeSeconds)),
  };
}

/** How many tokens are equal before the first that isn't. */
function matching(ids: readonly number[], others: readonly number[]): number {
  const first = ids.findIndex((id, i) => id !== others[i]);
  return first < 0 ? ids.length : first;
}

const times = (factor: number): string => `${factor.toFixed(1)} x`;

const range = (loads: readonly number[]): string =>
  `${Math.min(...loads).toFixed(1)}–${Math.max(...loads).toFixed(1)}`;
