// Files name at most a few of their end and control tokens; llama.cpp knows the rest by their spelling, and so do we.

/** Tokens that end an answer wherever a vocabulary has them. */
const END_TEXTS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "<｜end▁of▁sentence｜>",
  "[e~[",
]);

/** A role in fill-in-the-middle prompts: the metadata key that names its token, and its usual spellings. */
interface FillRole {
  readonly key: string;
  readonly texts: readonly string[];
  /** Whether an answer ends where the model writes it. */
  readonly ends: boolean;
}

const FILL_ROLES: readonly FillRole[] = [
  {
    key: "fim_pre",
    texts: [
      "<|fim_prefix|>",
      "<fim-prefix>",
      "<fim_prefix>",
      "<｜fim▁begin｜>",
      "<PRE>",
      "▁<PRE>",
      "<|code_prefix|>",
      "<|prefix|>",
    ],
    ends: false,
  },
  {
    key: "fim_suf",
    texts: [
      "<|fim_suffix|>",
      "<fim-suffix>",
      "<fim_suffix>",
      "<｜fim▁hole｜>",
      "<SUF>",
      "▁<SUF>",
      "<|code_suffix|>",
      "<|suffix|>",
    ],
    ends: false,
  },
  {
    key: "fim_mid",
    texts: [
      "<|fim_middle|>",
      "<fim-middle>",
      "<fim_middle>",
      "<｜fim▁end｜>",
      "<MID>",
      "▁<MID>",
      "<|code_middle|>",
      "<|middle|>",
    ],
    ends: false,
  },
  {
    key: "fim_pad",
    texts: ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    ends: true,
  },
  {
    key: "fim_rep",
    texts: ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
    ends: true,
  },
  { key: "fim_sep", texts: ["<|file_sep|>"], ends: true },
];

/** Tokens known by their spelling or by a metadata key. */
export interface KnownTokens {
  /** Ids that end an answer. */
  readonly ends: ReadonlySet<number>;
  /** Ids that are control tokens even where the file calls them something else. */
  readonly controls: ReadonlySet<number>;
}

/**
 * Finds the tokens that end an answer, as llama.cpp derives them: the ids that the metadata names (`eos`, `eot`, `eom`),
 * every token with a known end spelling, and the padding and separator tokens of fill-in-the-middle.
 * llama.cpp's fallback for a file that names no end token (id 11, whatever that is) is left out.
 *
 * @param idOf id of a token's text.
 * @param namedId id under `tokenizer.ggml.<name>_token_id`, if the file has it.
 */
export function findKnownTokens(
  idOf: ReadonlyMap<string, number>,
  namedId: (name: string) => number | undefined,
): KnownTokens {
  const ends = new Set<number>();
  const controls = new Set<number>();
  const byText = (text: string) => idOf.get(text);
  const add = (set: Set<number>, id: number | undefined) => {
    if (id !== undefined) set.add(id);
  };
  for (const name of ["eos", "eot", "eom"]) add(ends, namedId(name));
  for (const text of END_TEXTS) {
    add(ends, byText(text));
    add(controls, byText(text));
  }
  for (const { key, texts, ends: endsAnswer } of FILL_ROLES) {
    const named = namedId(key);
    const spelled = texts.map(byText).find((id) => id !== undefined);
    if (named === undefined) add(controls, spelled);
    if (endsAnswer) add(ends, named ?? spelled);
  }
  return { ends, controls };
}
