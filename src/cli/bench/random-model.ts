import { assertRange, type ByteSource } from "../../formats/byte-source.ts";
import type { TensorInfo } from "../../formats/tensor-types.ts";
import { BLOCK_SHAPES } from "../../formats/tensor-types.ts";
import { toByteAlphabet } from "../../text/byte-alphabet.ts";
import { ggufHeader, type HeaderFields, type HeaderTensor } from "./gguf-header.ts";
import { fillRandomBlocks } from "./random-blocks.ts";
import type { ModelShape } from "./shapes.ts";

/**
 * A GGUF file of random weights that is nowhere whole: its bytes are made when they are read, always the same ones.
 * Activations stay in the range of a real model's. Each letter (ASCII) of a text is a token.
 */
export function randomModel(name: string, shape: ModelShape): ByteSource {
  const { bytes: header, tensors } = ggufHeader(headerFields(name, shape), headerTensors(shape));
  const last = tensors.at(-1) as TensorInfo;
  return {
    name: `random weights of ${name}`,
    size: last.offset + last.bytes,
    async read(offset, length, signal, into) {
      signal?.throwIfAborted();
      assertRange(this, offset, length);
      const out = into?.subarray(0, length) ?? new Uint8Array(length);
      out.fill(0);
      if (offset < header.length) out.set(header.subarray(offset, offset + length));
      for (const [seed, tensor] of tensors.entries()) {
        const from = Math.max(offset, tensor.offset);
        const to = Math.min(offset + length, tensor.offset + tensor.bytes);
        if (from >= to) continue;
        const part = out.subarray(from - offset, to - offset);
        fillTensor(tensor, seed, from - tensor.offset, part);
      }
      return out;
    },
  };
}

/** Bytes of a tensor from byte `start` on. */
function fillTensor(tensor: TensorInfo, seed: number, start: number, out: Uint8Array): void {
  const { type, shape } = tensor;
  const block = BLOCK_SHAPES[type].bytes;
  const first = Math.floor(start / block);
  const skip = start - first * block;
  const whole = Math.ceil((skip + out.length) / block) * block;
  const bytes = whole === out.length ? out : new Uint8Array(whole);
  if (type === "F32") {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 4) view.setFloat32(at, 1, true); // a norm's gain
  } else {
    fillRandomBlocks(type, seed, 1 / Math.sqrt(shape[1] as number), first, bytes);
  }
  if (bytes !== out) out.set(bytes.subarray(skip, skip + out.length));
}

function headerFields(name: string, shape: ModelShape): HeaderFields {
  const letters = Array.from({ length: 128 }, (_, i) => toByteAlphabet(String.fromCharCode(i)));
  const others = Array.from({ length: shape.vocabSize - 128 }, (_, i) => `<token ${i}>`);
  return {
    "general.architecture": "llama",
    "general.name": `random ${name}`,
    "llama.block_count": shape.numLayers,
    "llama.context_length": 8192,
    "llama.embedding_length": shape.hiddenSize,
    "llama.feed_forward_length": shape.intermediateSize,
    "llama.attention.head_count": shape.numHeads,
    "llama.attention.head_count_kv": shape.numKvHeads,
    "llama.attention.key_length": shape.headDim,
    "llama.rope.dimension_count": shape.headDim,
    "llama.rope.freq_base": shape.ropeTheta,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": [...letters, ...others],
    "tokenizer.ggml.merges": [],
  };
}

function headerTensors(shape: ModelShape): HeaderTensor[] {
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, vocabSize } =
    shape;
  const { layers: type, embedding, head } = shape.types;
  const norm = (name: string): HeaderTensor => ({ name, type: "F32", shape: [hiddenSize] });
  const tensors: HeaderTensor[] = [
    { name: "token_embd.weight", type: embedding, shape: [vocabSize, hiddenSize] },
  ];
  for (let layer = 0; layer < numLayers; layer++) {
    const matrix = (part: string, rows: number, cols: number): HeaderTensor => ({
      name: `blk.${layer}.${part}.weight`,
      type,
      shape: [rows, cols],
    });
    tensors.push(
      norm(`blk.${layer}.attn_norm.weight`),
      matrix("attn_q", numHeads * headDim, hiddenSize),
      matrix("attn_k", numKvHeads * headDim, hiddenSize),
      matrix("attn_v", numKvHeads * headDim, hiddenSize),
      matrix("attn_output", hiddenSize, numHeads * headDim),
      norm(`blk.${layer}.ffn_norm.weight`),
      matrix("ffn_gate", intermediateSize, hiddenSize),
      matrix("ffn_up", intermediateSize, hiddenSize),
      matrix("ffn_down", hiddenSize, intermediateSize),
    );
  }
  tensors.push(norm("output_norm.weight"));
  if (head !== undefined) {
    tensors.push({ name: "output.weight", type: head, shape: [vocabSize, hiddenSize] });
  }
  return tensors;
}
