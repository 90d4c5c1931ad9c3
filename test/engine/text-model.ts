import { readGguf } from "../../src/formats/gguf.ts";
import { bufferSource } from "../../src/index.ts";
import { buildGguf, type GgufField, type GgufTensor } from "../reference/write_gguf.ts";
import { tinyFile } from "./tiny-models.ts";

/** Bytes of a Q8_0 block: an f16 scale and 32 weights. */
const BLOCK_BYTES = 34;

/**
 * `tiny-flow` with an lm head of its own that writes plain ASCII: so its answers survive being encoded again, mostly as
 * other tokens.
 */
export async function textModel(): Promise<Uint8Array<ArrayBuffer>> {
  const file = tinyFile("tiny-flow");
  const { metadata, tensors } = await readGguf(bufferSource(file, "tiny-flow.gguf"));
  const texts = metadata.get("tokenizer.ggml.tokens") as readonly string[];
  const copies = [...tensors.values()].map(({ name, type, shape, offset, bytes }): GgufTensor => {
    return { name, type, shape, data: file.slice(offset, offset + bytes) };
  });
  const embedding = copies.find(({ name }) => name === "token_embd.weight");
  if (embedding === undefined) throw new Error("the model has no embedding");
  const head = { ...embedding, name: "output.weight", data: embedding.data.slice() };
  texts.forEach((text, id) => {
    if (!/^[Ġ!-}]+$/.test(text) || text.includes("<|")) clearRow(head, id);
  });
  return buildGguf({
    metadata: Object.fromEntries(metadata) as Record<string, GgufField>,
    tensors: [...copies, head],
  });
}

/** Make a row zero, by its scales. */
function clearRow({ data, shape }: GgufTensor, row: number): void {
  const blocks = (shape[1] as number) / 32;
  const view = new DataView(data.buffer, data.byteOffset);
  for (let block = 0; block < blocks; block++) {
    view.setUint16((row * blocks + block) * BLOCK_BYTES, 0);
  }
}
