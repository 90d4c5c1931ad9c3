import { formatCount, formatMiB } from "../../src/elements.ts";
import { layersAt, type RunTrace, timelineOf } from "../../src/profile.ts";

/** A figure of each run, the first of them as the measure. */
export interface ComparedFigure {
  readonly name: string;
  readonly texts: readonly string[];
}

interface Figure {
  readonly name: string;
  readonly of: (run: RunTrace) => number;
  readonly text: (value: number) => string;
}

const FIGURES: readonly Figure[] = [
  {
    name: "Cache",
    of: (run) => sum(layersOf(run).map(({ bytes }) => bytes)),
    text: formatMiB,
  },
  { name: "Full cache", of: (run) => layersAt(run, run.end).fullBytes, text: formatMiB },
  { name: "Peak of all", of: (run) => most(timelineOf(run).total), text: formatMiB },
  {
    name: "Attention kept",
    of: (run) => 100 * mean(layersOf(run).flatMap(({ keptMass }) => keptMass)),
    text: (value) => `${value.toFixed(1)}\u00a0%`,
  },
  {
    name: "Time to first token",
    of: (run) => run.calls.at(-1)?.timeToFirstTokenMs ?? 0,
    text: (value) => `${value.toFixed(0)}\u00a0ms`,
  },
  {
    name: "Decode",
    of: (run) => run.calls.at(-1)?.decodeTokensPerSecond ?? 0,
    text: (value) => `${value.toFixed(1)}\u00a0tokens/s`,
  },
];

/** Figures of two to four runs with their changes against the first, and where answers part. */
export function compareRuns(runs: readonly RunTrace[]): ComparedFigure[] {
  const rows = FIGURES.map(({ name, of, text }) => {
    const values = runs.map(of);
    const measure = values[0] ?? 0;
    const texts = values.map((value, at) => {
      if (at === 0 || measure === 0) return value === 0 ? "–" : text(value);
      const change = (100 * (value - measure)) / measure;
      return `${text(value)} (${change > 0 ? "+" : ""}${change.toFixed(1)}\u00a0%)`;
    });
    return { name, texts };
  });
  const [first] = runs;
  if (first === undefined) return rows;
  const parts = runs.map((run) => divergence(first, run));
  return [
    ...rows,
    { name: "Tokens that agree", texts: runs.map((_, at) => agreementText(parts[at], at)) },
    { name: "First divergence", texts: runs.map((_, at) => divergenceText(parts[at], at)) },
  ];
}

/** Where two runs' answers to the same prompt part. */
export interface Divergence {
  /** Tokens that both answers have been compared over. */
  readonly tokens: number;
  /** Tokens before the first one that differs. */
  readonly agreeing: number;
  /** The two tokens that differ first; undefined where none does. */
  readonly texts?: readonly [string, string];
}

/** Compare the last answers of two runs; undefined where the prompts differ or the tokens are unknown. */
export function divergence(a: RunTrace, b: RunTrace): Divergence | undefined {
  const [one, two] = [answerOf(a), answerOf(b)];
  if (one === undefined || two === undefined || one.prompt !== two.prompt) return undefined;
  const tokens = Math.min(one.answer.length, two.answer.length);
  for (let at = 0; at < tokens; at++) {
    const [x, y] = [one.answer[at], two.answer[at]];
    if (x?.id !== y?.id) return { tokens, agreeing: at, texts: [x?.text ?? "", y?.text ?? ""] };
  }
  return { tokens, agreeing: tokens };
}

function answerOf({
  tokens,
  calls,
}: RunTrace):
  { readonly prompt: string; readonly answer: NonNullable<RunTrace["tokens"]> } | undefined {
  const call = calls.at(-1);
  if (tokens === undefined || call === undefined) return undefined;
  const prompt = tokens.slice(0, call.promptTokens).map(({ id }) => id);
  return { prompt: prompt.join(), answer: tokens.slice(call.promptTokens) };
}

function agreementText(part: Divergence | undefined, at: number): string {
  if (at === 0) return "–";
  if (part === undefined) return "not the same prompt";
  return `${formatCount(part.agreeing)} of ${formatCount(part.tokens)}`;
}

function divergenceText(part: Divergence | undefined, at: number): string {
  if (at === 0 || part === undefined) return "–";
  if (part.texts === undefined) return "none";
  const [a, b] = part.texts.map((text) => `“${text}”`);
  return `token ${formatCount(part.agreeing)}: ${a}, here ${b}`;
}

const layersOf = (run: RunTrace): ReturnType<typeof layersAt>["layers"] =>
  layersAt(run, run.end).layers;
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
const most = (values: readonly number[]): number =>
  values.reduce((peak, value) => Math.max(peak, value), 0);
const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : sum(values) / values.length;
