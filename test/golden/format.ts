import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type TinyTokensGolden, type TokensGolden } from "./token-goldens.ts";

/** The only format that `readGolden` accepts; the scripts write it from `golden_file.py`. */
export const GOLDEN_FORMAT = 1;

/** First entry of every golden file: what made it, from which model. */
export interface GoldenHeader {
  readonly format: number;
  readonly kind: "score" | "greedy" | "tiny" | "kvpress" | "passes" | "tokens";
  /** The script to rerun, as a path from the repository root. */
  readonly script: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly dtype: "float32";
  readonly model: { readonly file: string; readonly bytes: number; readonly sha256: string };
}

/** Teacher-forced log-probabilities: entry i belongs to `tokenIds[context + i]`. */
export interface ScoreCase {
  readonly name: string;
  /** Number of leading tokens that are given and not scored. */
  readonly context: number;
  /** Context and continuation. */
  readonly tokenIds: readonly number[];
  /** Natural log of the probability of each continuation token. */
  readonly logprobs: readonly number[];
  /** Best logit minus second best, in the row that predicts each continuation token. */
  readonly margins: readonly number[];
}

/** A score case on real text; `text` tokenizes to exactly `tokenIds`. */
export interface TextScoreCase extends ScoreCase {
  /** File under `test/golden/text` that begins with `text`. */
  readonly source: string;
  readonly text: string;
}

/** Greedy decoding without any penalty. */
export interface GreedyCase {
  readonly name: string;
  readonly promptTokenIds: readonly number[];
  /** New ids; with `finishReason` "stop" the last one is the stop id, which an engine doesn't emit. */
  readonly tokenIds: readonly number[];
  /** Best logit minus second best at each step. */
  readonly margins: readonly number[];
  readonly finishReason: "stop" | "length";
  /** Leading steps with a margin of at least 0.02: tokens must be equal up to there. */
  readonly stepsBeforeCloseCall: number;
}

/** A greedy case on real text: either a raw `prompt` or chat `messages`, never both. */
export interface TextGreedyCase extends GreedyCase {
  readonly prompt?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  /** The new ids as text, without special tokens. */
  readonly text: string;
}

export interface ScoreGolden {
  readonly header: GoldenHeader;
  /** Largest difference of any log-probability here between f32 and f64: the reference's own noise. */
  readonly f32NoiseMax: number;
  readonly cases: readonly TextScoreCase[];
}

export interface GreedyGolden {
  readonly header: GoldenHeader;
  readonly cases: readonly TextGreedyCase[];
}

/** A tiny random model; the GGUF file stands beside the golden (`header.model.file`). */
export interface TinyGolden {
  readonly header: GoldenHeader;
  readonly f32NoiseMax: number;
  /** GGUF tensor name to tensor type, e.g. "Q4_K". */
  readonly tensorTypes: Readonly<Record<string, string>>;
  readonly score: ScoreCase;
  /** `score.logprobs` from the weights as the engine holds them: see `repacked.py`. */
  readonly repackedLogprobs: readonly number[];
  readonly greedy: GreedyCase;
  /** Texts with their ids, for the tiny tokenizer. */
  readonly tokenizer: readonly { readonly text: string; readonly tokenIds: readonly number[] }[];
}

/** Selection edge of one KV head: scores that decide, and every score within 1.1 % of them. */
export interface SelectionEdge {
  readonly lowestKept: number;
  /** Not below `lowestKept` only where the method ties ("authors") or splits among heads ("ada-kv"). */
  readonly highestEvicted: number;
  readonly positions: readonly number[];
  /** Scores of `positions`; a position that is missing here must not change sides. */
  readonly scores: readonly number[];
}

/** Settings of a case; those that a policy doesn't know are absent. */
export interface CompressionOptions {
  /** Fraction removed, as kvpress counts it. */
  readonly compressionRatio?: number;
  /** The authors' mean rows per layer, window included. */
  readonly maxCapacityPrompt?: number;
  readonly windowSize?: number;
  readonly pool?: "avg" | "max";
  readonly poolSize?: number;
  readonly beta?: number;
  readonly numSinks?: number;
  /** Least share of the mean budget that every head keeps. */
  readonly alphaSafeguard?: number;
}

/** One compression of the prompt, and the continuation fed token by token after it. */
export interface CompressionCase {
  readonly name: string;
  /** "authors" is PyramidKV per KV head as its authors run it; the rest come from kvpress. */
  readonly policy:
    "pyramidkv" | "snapkv" | "knorm" | "tova" | "streaming-llm" | "ada-kv" | "authors";
  readonly options: CompressionOptions;
  /** Rows kept, [layer][KV head], window included. */
  readonly budgets: readonly (readonly number[])[];
  /** Bit masks over the prompt, [layer][KV head]: see `keptPositions`. */
  readonly kept: readonly (readonly string[])[];
  /** Positions 0 to numScored - 1 have a score of their own; the rest are kept always. */
  readonly numScored: number;
  /** As in `ScoreCase`; entry 0 comes from the prompt's last row, before anything is evicted. */
  readonly logprobs: readonly number[];
  /** [layer][KV head]; absent for "streaming-llm", which doesn't score. */
  readonly edges?: readonly (readonly SelectionEdge[])[];
  /** Scores of some layers in a file of their own: see `readScores`. */
  readonly scores?: { readonly file: string; readonly layers: readonly number[] };
  /** [layer][KV head]: share of the window's attention on kept positions, before pooling. */
  readonly massKept?: readonly (readonly number[])[];
}

/** Compressions of one prompt. */
export interface CompressionGolden {
  readonly header: GoldenHeader;
  /** Prompt tokens; the continuation follows in `tokenIds`. */
  readonly context: number;
  readonly tokenIds: readonly number[];
  /** For real text only: the file that begins with `text`, which tokenizes to `tokenIds`. */
  readonly source?: string;
  readonly text?: string;
  /** Log-probabilities of the continuation with the full cache. */
  readonly fullLogprobs: readonly number[];
  readonly cases: readonly CompressionCase[];
}

/** A prompt that was read in passes, each compressed before the next, and its continuation. */
export interface PassesCase {
  readonly name: string;
  readonly policy: "pyramidkv" | "snapkv" | "ada-kv";
  readonly options: {
    /** Mean rows per layer and KV head, window included. */
    readonly budget: number;
    readonly windowSize: number;
    readonly pool: "avg" | "max";
    readonly poolSize: number;
  };
  readonly passTokens: number;
  readonly passes: number;
  /** As in `CompressionCase`, after the last pass. */
  readonly budgets: readonly (readonly number[])[];
  readonly kept: readonly (readonly string[])[];
  /**
   * [layer][KV head]: positions whose score was within 1.1 % of one that decides, in any pass, and its
   * relative distance. Any other position must not change sides.
   */
  readonly near: readonly (readonly (readonly (readonly [
    position: number,
    distance: number,
  ])[])[])[];
  readonly logprobs: readonly number[];
}

export interface PassesGolden {
  readonly header: GoldenHeader;
  readonly context: number;
  readonly tokenIds: readonly number[];
  readonly source: string;
  readonly text: string;
  readonly cases: readonly PassesCase[];
}

/** Every committed golden by name. */
export interface GoldenFiles {
  readonly "smollm2-score": ScoreGolden;
  readonly "smollm2-greedy": GreedyGolden;
  readonly "tiny-llama": TinyGolden;
  readonly "tiny-qwen2": TinyGolden;
  readonly "tiny-flow": TinyGolden;
  readonly "kvpress-tiny": CompressionGolden;
  readonly "kvpress-512": CompressionGolden;
  readonly "kvpress-1024": CompressionGolden;
  readonly passes: PassesGolden;
  readonly tokens: TokensGolden;
  readonly "tokens-tiny": TinyTokensGolden;
}

/** Absolute path of a file in `test/golden/data`. */
export function goldenPath(file: string): string {
  return fileURLToPath(new URL(`./data/${file}`, import.meta.url));
}

/** Checks the header of a golden's text; throws, naming the command that makes it anew. */
export function parseGolden<Name extends keyof GoldenFiles>(text: string): GoldenFiles[Name] {
  const golden = JSON.parse(text) as GoldenFiles[Name];
  const { format, script } = golden.header;
  if (format !== GOLDEN_FORMAT) {
    throw new Error(
      `golden has format ${format}, expected ${GOLDEN_FORMAT}; ` +
        `make it anew: python ${script} (environment: test/golden/README.md)`,
    );
  }
  return golden;
}

/** Reads a golden of this format. */
export function readGolden<Name extends keyof GoldenFiles>(name: Name): GoldenFiles[Name] {
  return parseGolden<Name>(readFileSync(goldenPath(`${name}.json`), "utf8"));
}

/** Ascending positions of a bit mask (base64 of bytes, lowest bit first). */
export function keptPositions(mask: string): number[] {
  const positions: number[] = [];
  Buffer.from(mask, "base64").forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) {
      if ((byte >> bit) & 1) positions.push(8 * index + bit);
    }
  });
  return positions;
}

/** Scores of `case.scores.layers`: f32, (layers, KV heads, numScored); throws if none are stored. */
export function readScores(compression: CompressionCase): Float32Array {
  const { name, scores, numScored, budgets } = compression;
  if (scores === undefined) throw new Error(`case ${name} has no stored scores`);
  const bytes = readFileSync(goldenPath(scores.file));
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  const expected = scores.layers.length * budgets[0].length * numScored;
  if (values.length !== expected) {
    throw new Error(`${scores.file} holds ${values.length} scores, expected ${expected}`);
  }
  return values;
}
