import { seededRandom } from "../random.ts";
import { randomBlocks } from "./random_blocks.ts";
import { type GgufContent, type GgufField, type GgufTensor } from "./write_gguf.ts";
import { type TensorType } from "../../src/formats/tensor-types.ts";

const TOKENS = ["<|endoftext|>", "<|im_start|>", "\u{feff}bom", "Ġ", "é", "日本", "👩‍👩‍👧", ""];

/** Metadata as a small language model has it, with every value type. */
export const SAMPLE_METADATA: Readonly<Record<string, GgufField>> = {
  "general.architecture": "llama",
  "general.name": "Sample",
  "llama.block_count": 2,
  "llama.context_length": 512,
  "llama.attention.layer_norm_rms_epsilon": { type: "f32", value: 1e-5 },
  "llama.rope.freq_base": { type: "f32", value: 10_000 },
  "test.u8": { type: "u8", value: 200 },
  "test.i8": { type: "i8", value: -100 },
  "test.u16": { type: "u16", value: 60_000 },
  "test.i16": { type: "i16", value: -30_000 },
  "test.i32": -2_000_000_000,
  "test.u64": { type: "u64", value: 2 ** 40 },
  "test.u64.large": { type: "u64", value: 2n ** 63n + 1n },
  "test.i64": { type: "i64", value: -(2 ** 50) },
  "test.f64": { type: "f64", value: Math.PI },
  "tokenizer.ggml.add_bos_token": false,
  "tokenizer.ggml.add_space_prefix": true,
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.tokens": [...TOKENS, ...Array.from({ length: 24 }, (_, i) => `tok${i}`)],
  "tokenizer.ggml.token_type": Int32Array.from({ length: 32 }, (_, i) => (i < 2 ? 3 : 1)),
  "tokenizer.ggml.scores": Float32Array.from({ length: 32 }, (_, i) => -i / 3),
  "tokenizer.ggml.merges": Array.from({ length: 16 }, (_, i) => `t ok${i}`),
  "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}",
  "test.flags": [true, false, true],
  "test.nested": [Uint32Array.of(1, 2), ["a", "b"], [Float64Array.of(0.5)]],
  "test.counts": BigUint64Array.of(1n, 2n ** 52n),
  "test.empty": [],
};

const SHAPES: readonly (readonly [string, TensorType, readonly number[]])[] = [
  ["token_embd.weight", "Q8_0", [32, 64]],
  ["output_norm.weight", "F32", [64]],
  ["blk.0.attn_q.weight", "Q4_1", [64, 64]],
  ["blk.0.attn_k.weight", "F16", [3, 32]],
  ["blk.0.attn_v.weight", "BF16", [5, 32]],
  ["blk.0.ffn_up.weight", "Q4_K", [2, 256]],
  ["blk.0.ffn_down.weight", "Q6_K", [1, 256]],
];

/** What `buildGguf` takes to write a small valid file of about 14 kB. */
export function sampleGguf(): GgufContent {
  return { metadata: SAMPLE_METADATA, tensors: randomTensors(SHAPES) };
}

const LAYER_SHAPES: readonly (readonly [string, TensorType, readonly number[]])[] = [
  ["attn_norm.weight", "F32", [32]],
  ["attn_q.weight", "Q4_1", [64, 32]],
  ["attn_k.weight", "F16", [32, 32]],
  ["attn_v.weight", "Q8_0", [32, 32]],
  ["attn_output.weight", "BF16", [32, 64]],
  ["ffn_norm.weight", "F32", [32]],
  ["ffn_gate.weight", "Q4_0", [256, 32]],
  ["ffn_up.weight", "Q5_1", [256, 32]],
  ["ffn_down.weight", "Q6_K", [32, 256]],
];

const MODEL_SHAPES: typeof LAYER_SHAPES = [
  ["token_embd.weight", "Q8_0", [32, 32]],
  ["output_norm.weight", "F32", [32]],
  ...[0, 1].flatMap((layer) =>
    LAYER_SHAPES.map(([name, ...rest]) => [`blk.${layer}.${name}`, ...rest] as const),
  ),
];

/** The same for a model of two layers that opens: about 50 kB. */
export function sampleModel(): GgufContent {
  const common = Object.entries(SAMPLE_METADATA).filter(([key]) => !key.startsWith("test."));
  const metadata = {
    ...Object.fromEntries(common),
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 256,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
    "llama.attention.key_length": 32,
    "llama.rope.dimension_count": 32,
    "llama.rope.scaling.type": "linear",
    "llama.rope.scaling.factor": 2,
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 0,
  };
  const data = new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => 1 + i / 2).buffer);
  const factors = { name: "rope_freqs.weight", type: "F32", shape: [16], data } as const;
  return { metadata, tensors: [...randomTensors(MODEL_SHAPES), factors] };
}

function randomTensors(shapes: typeof SHAPES): readonly GgufTensor[] {
  const random = seededRandom(11);
  return shapes.map(([name, type, shape]): GgufTensor => {
    const elements = shape.reduce((product, size) => product * size, 1);
    return { name, type, shape, data: randomBlocks(type, elements, random) };
  });
}
