import { layersAt } from "./replay.ts";
import type { RunTrace } from "./trace.ts";

/**
 * Cache rows in use that came after the prompt of the call at a moment, `[layer][KV head]`; the others
 * were kept of the prompt. Undefined where the run doesn't tell: within a call that hasn't ended, and
 * within an answer that was compressed again (at its end the positions kept do tell).
 */
export function generatedRows(
  trace: RunTrace,
  at: number,
): readonly (readonly number[])[] | undefined {
  const call = trace.calls.findLast(({ start }) => start <= at);
  const { tokens, layers } = layersAt(trace, at);
  if (call === undefined || layers.length === 0) return undefined;
  const { promptTokens } = call;
  const { kept } = trace;
  const isEnd = at >= (trace.samples.at(-1)?.at ?? Infinity);
  const isKept = layers.every(({ length }, layer) =>
    kept?.[layer]?.some((positions) => positions.length === length),
  );
  if (kept !== undefined && isEnd && isKept) {
    return kept.map((heads) =>
      heads.map((positions) => {
        const last = positions.findLastIndex((position) => position < promptTokens);
        return positions.length - 1 - last;
      }),
    );
  }
  const isCompressedAgain = trace.phases.some(
    ({ name, layer, start }) =>
      name === "compress" && layer === undefined && start >= call.start && start <= at,
  );
  if (isCompressedAgain) return undefined;
  const rows = Math.max(tokens - promptTokens, 0);
  return layers.map(({ length, heads }) =>
    Array.from({ length: trace.model.numKvHeads }, (_, head) =>
      Math.min(rows, heads?.[head]?.length ?? length),
    ),
  );
}
