import { describe, expect, test } from "vitest";
import { ChatTemplateError, LlmError } from "../../src/errors.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { openModel } from "../../src/model/open-model.ts";
import { createChatTemplate } from "../../src/text/chat-template.ts";
import { hfFiles } from "../golden/hf-models.ts";
import { seededRandom } from "../random.ts";
import { JSON_TOKENS, mutationsOf } from "./mutations.ts";

const SEED = 20_263;
/** Generous for a machine that does other work; a typical mutant takes a few milliseconds. */
const MAX_MS_EACH = 10_000;
const MAX_GROWTH_BYTES = 256 * 1024 * 1024;

const files = hfFiles("hf-llama");
const messages = [{ role: "user", content: "Hi <|im_end|>" }] as const;

const TARGETS: Readonly<
  Record<
    string,
    {
      readonly mutants: number;
      readonly tokens: readonly string[];
      /** Errors that only this file's mutants may end in. */
      readonly errors?: readonly string[];
    }
  >
> = {
  "config.json": {
    mutants: 2000,
    tokens: ["0", "-1", "9e99", "1048576", "null", '"x"', "[]", "{}", "true", '"__proto__"', "512"],
  },
  "generation_config.json": { mutants: 1000, tokens: ["0", "-1", "511", "512", "null", "[", "{}"] },
  "tokenizer_config.json": { mutants: 1000, tokens: ["null", "[]", '{"content":7}', '"', "{%"] },
  "tokenizer.json": {
    mutants: 2000,
    tokens: [
      "null",
      "-1",
      "1e9",
      '"',
      "\\ud800",
      "[]",
      "{}",
      '"BPE"',
      "true",
      "false",
      '"ByteLevel"',
    ],
  },
  "model.safetensors.index.json": {
    mutants: 4000,
    tokens: [
      ...JSON_TOKENS,
      "null",
      "[]",
      "{}",
      '"../x.safetensors"',
      '"http://x/y.safetensors"',
      '"model-00002-of-00003.safetensors"',
      "\\ud800",
      '"__proto__"',
      "weight_map",
    ],
    // A shard of a name that is sound, but not there.
    errors: ["SourceError"],
  },
};

/** A model that opened must encode, decode and lay out a conversation, or say in a typed error why not. */
async function use(path: string, bytes: Uint8Array): Promise<string> {
  const { config, tokenizer } = await openModel({
    folder: {
      name: "mutant",
      open: async (file) => {
        const found = file === path ? bytes : files.get(file);
        return found && bufferSource(found, file);
      },
    },
  });
  const ids = [...tokenizer.encode("Hello 12 \u00e9"), ...tokenizer.encodeChat(messages)];
  for (const id of ids) {
    if (!(id < config.vocabSize)) return `id ${id}`;
    tokenizer.tokenBytes(id);
  }
  for (const id of tokenizer.eosTokenIds) if (!(id < config.vocabSize)) return `end token ${id}`;
  return "sound";
}

/** Runs mutants and checks that each ends well; gives how many ended how. */
async function fuzz(
  original: Uint8Array,
  mutants: number,
  tokens: readonly string[],
  run: (bytes: Uint8Array) => Promise<string>,
): Promise<Readonly<Record<string, number>>> {
  const mutations = mutationsOf(seededRandom(SEED), { tokens });
  const counts: Record<string, number> = {};
  const failures: string[] = [];
  let [slowest, growth] = [0, 0];
  const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  for (let i = 0; i < mutants; i++) {
    const [kind, mutate] = mutations[i % mutations.length];
    const bytes = mutate(Uint8Array.from(original));
    const start = performance.now();
    const outcome = await run(bytes).catch((error: unknown) =>
      error instanceof LlmError ? error.name : (error as Error),
    );
    slowest = Math.max(slowest, performance.now() - start);
    growth = Math.max(growth, used() - before);
    if (outcome instanceof Error) failures.push(`${i} (${kind}): ${outcome.stack}`);
    const label = outcome instanceof Error ? "untyped" : outcome;
    counts[label] = (counts[label] ?? 0) + 1;
  }
  console.log(
    `seed ${SEED}: ${JSON.stringify(counts)}; slowest ${slowest.toFixed(1)} ms, ` +
      `growth ${(growth / 1e6).toFixed(0)} MB`,
  );
  expect(failures.slice(0, 3)).toEqual([]);
  expect(slowest).toBeLessThan(MAX_MS_EACH);
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  return counts;
}

describe("mutants end in a typed error or a sound model:", () => {
  for (const [path, { mutants, tokens, errors = [] }] of Object.entries(TARGETS)) {
    test(`${mutants} of ${path}`, { timeout: 240_000 }, async () => {
      const counts = await fuzz(files.get(path)!, mutants, tokens, (bytes) => use(path, bytes));
      const expected = ["sound", "ModelFormatError", "UnsupportedModelError", "ChatTemplateError"];
      expected.push(...errors);
      expect(Object.keys(counts).filter((label) => !expected.includes(label))).toEqual([]);
      expect(counts["sound"]).toBeGreaterThan(mutants / 100);
      expect(counts["ModelFormatError"]).toBeGreaterThan(mutants / 10);
    });
  }
});

/** A template with most of what the language has, so that damage reaches it all. */
const TEMPLATE = `{%- set ns = namespace(found=false) -%}
{%- macro turn(role, text) -%}<|im_start|>{{ role }}\n{{ text | trim }}<|im_end|>\n{%- endmacro -%}
{%- for message in messages if message.content -%}
{%- if loop.first and message['role'] != 'system' -%}{{ turn('system', 'You help.') }}{%- endif -%}
{%- set ns.found = ns.found or message.role == "user" -%}
{{ turn(message.role, message.content[:200] ~ (loop.index0 * 2 + 1) | string) }}
{%- for i in range(3) -%}{{ i }}{%- endfor -%}
{%- endfor -%}
{%- if not ns.found -%}{{ raise_exception('no user') }}{%- endif -%}
{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}`;

test(
  "8000 mutants of a chat template end in a typed error or a text",
  { timeout: 240_000 },
  async () => {
    const controlTokens = [
      { id: 1, text: "<|im_start|>" },
      { id: 2, text: "<|im_end|>" },
    ];
    const tokens = [
      "{%",
      "%}",
      "{{",
      "}}",
      "range(999999999)",
      "messages",
      "* 9999",
      "[",
      "(",
      "'",
      "for x in ",
      "endfor",
      "|",
      "ns",
      "**",
    ];
    const counts = await fuzz(new TextEncoder().encode(TEMPLATE), 8000, tokens, async (bytes) => {
      const source = new TextDecoder().decode(bytes);
      const template = createChatTemplate(source, {
        controlTokens,
        bosToken: "",
        eosToken: "<|im_end|>",
      });
      const parts = template.render(messages);
      return parts.every((part) => typeof part === "string" || part === 1 || part === 2)
        ? "sound"
        : "ids";
    });
    expect(Object.keys(counts).sort()).toEqual([ChatTemplateError.name, "sound"]);
    expect(counts["sound"]).toBeGreaterThan(800);
    expect(counts[ChatTemplateError.name]).toBeGreaterThan(800);
  },
);
