import { floatToHalf } from "../../formats/half.ts";
import { BLOCK_SHAPES, type TensorType } from "../../formats/tensor-types.ts";

/** Where the f16 scale of a block lies, and the standard deviation of weights whose quants are random under scale 1. */
const BLOCKS: Readonly<
  Partial<Record<TensorType, { scaleAt: number; deviation: number; minimum?: number }>>
> = {
  Q4_0: { scaleAt: 0, deviation: 4.61 },
  Q4_1: { scaleAt: 0, deviation: 4.61, minimum: -7.5 },
  Q8_0: { scaleAt: 0, deviation: 73.9 },
  Q6_K: { scaleAt: 208, deviation: 73.9 * 18.5 },
};

/**
 * Fills `out` with whole blocks of random weights, from block `firstBlock` of a tensor on: the same bytes for the same
 * block and `seed`, whatever part of the tensor is asked for.
 *
 * @param deviation standard deviation of the weights.
 */
export function fillRandomBlocks(
  type: TensorType,
  seed: number,
  deviation: number,
  firstBlock: number,
  out: Uint8Array,
): void {
  const layout = BLOCKS[type];
  if (layout === undefined) throw new Error(`there are no random blocks of ${type}`);
  const { bytes } = BLOCK_SHAPES[type];
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  const scale = deviation / layout.deviation;
  const scaleBits = floatToHalf(scale);
  const minimumBits = layout.minimum === undefined ? 0 : floatToHalf(scale * layout.minimum);
  const headerBytes = layout.minimum === undefined ? 2 : 4;
  const quantsAt = layout.scaleAt === 0 ? headerBytes : 0;
  const quantBytes = bytes - headerBytes;
  let counter = (Math.imul(seed, 0x9e3779b1) + Math.imul(firstBlock, quantBytes / 4)) | 0;
  for (let at = 0; at < out.length; at += bytes) {
    for (let i = 0; i < quantBytes; i += 4) view.setUint32(at + quantsAt + i, mix(counter++), true);
    view.setUint16(at + layout.scaleAt, scaleBits, true);
    if (headerBytes === 4) view.setUint16(at + 2, minimumBits, true);
  }
}

/** Thirty-two bits without a visible order, for each counter: two multiply-xorshift rounds. */
function mix(counter: number): number {
  let x = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}
