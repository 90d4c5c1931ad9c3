import { readdirSync, readFileSync } from "node:fs";
import type { ChatMessage } from "../../src/index.ts";
import { goldenPath, type ScoreCase } from "./format.ts";

/** Folders of test/golden/data with a model as transformers exports it. */
export const HF_MODELS = ["hf-llama", "hf-llama-f32", "hf-qwen2"] as const;

export type HfModel = (typeof HF_MODELS)[number];

/** What `make_hf.py` writes beside a folder. */
export interface HfGolden {
  readonly score: ScoreCase;
  /** Log-probabilities with the matrices rounded to f16, as the engine holds them. */
  readonly heldLogprobs: readonly number[];
  readonly tokenizer: readonly { readonly text: string; readonly tokenIds: readonly number[] }[];
  readonly chat: { readonly messages: ChatMessage[]; readonly tokenIds: readonly number[] };
  /** Ascending. */
  readonly endTokenIds: readonly number[];
}

export function readHfGolden(name: HfModel): HfGolden {
  return JSON.parse(readFileSync(goldenPath(`${name}.json`), "utf8")) as HfGolden;
}

/** The files of a model, for the caller to change. */
export function hfFiles(name: HfModel): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map(
    readdirSync(goldenPath(name)).map((file) => [
      file,
      new Uint8Array(readFileSync(goldenPath(`${name}/${file}`))),
    ]),
  );
}
