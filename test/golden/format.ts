import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The only format that `readGolden` accepts; the scripts write it from `golden_file.py`. */
export const GOLDEN_FORMAT = 1;

/** First entry of every golden file: what made it, from which model. */
export interface GoldenHeader {
  readonly format: number;
  readonly kind: "score" | "greedy" | "tiny" | "kvpress";
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
  readonly greedy: GreedyCase;
  /** Texts with their ids, for the tiny tokenizer. */
  readonly tokenizer: readonly { readonly text: string; readonly tokenIds: readonly number[] }[];
}

/** Every committed golden by name. */
export interface GoldenFiles {
  readonly "smollm2-score": ScoreGolden;
  readonly "smollm2-greedy": GreedyGolden;
  readonly "tiny-llama": TinyGolden;
  readonly "tiny-qwen2": TinyGolden;
  readonly "tiny-flow": TinyGolden;
}

/** Absolute path of a file in `test/golden/data`. */
export function goldenPath(file: string): string {
  return fileURLToPath(new URL(`./data/${file}`, import.meta.url));
}

/** Reads a golden; throws, naming the command that makes it anew, when it has another format. */
export function readGolden<Name extends keyof GoldenFiles>(name: Name): GoldenFiles[Name] {
  const path = goldenPath(`${name}.json`);
  const golden = JSON.parse(readFileSync(path, "utf8")) as GoldenFiles[Name];
  const { format, script } = golden.header;
  if (format !== GOLDEN_FORMAT) {
    throw new Error(
      `${path} has golden format ${format}, expected ${GOLDEN_FORMAT}; ` +
        `make it anew: python ${script} (environment: test/golden/golden_file.py)`,
    );
  }
  return golden;
}
