import { UnsupportedModelError } from "../errors.ts";
import type { GgufCursor } from "./gguf-cursor.ts";
import { readString, type GgufValue } from "./gguf-values.ts";
import { quote } from "./quote.ts";
import {
  BLOCK_SHAPES,
  TENSOR_TYPES,
  tensorBytes,
  type TensorInfo,
  tensorTypeOfGguf,
  unreadGgufType,
} from "./tensor-types.ts";

const MAX_TENSORS = 65_536;
const MAX_NAME_BYTES = 127;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1024 * 1024;
/** Smallest entry: length, one letter, rank, one dimension, type, offset. */
const MIN_ENTRY_BYTES = 33;

/**
 * Reads the tensor table that follows the metadata, and checks that all tensors are known, whole, aligned, apart from
 * each other, and inside the file of `fileBytes`.
 *
 * @param alignment the value of `general.alignment`, where the file has one.
 */
export async function readTensorTable(
  cursor: GgufCursor,
  count: number,
  alignment: GgufValue | undefined,
  fileBytes: number,
): Promise<Map<string, TensorInfo>> {
  const align = checkAlignment(cursor, alignment ?? DEFAULT_ALIGNMENT);
  if (count > MAX_TENSORS) {
    throw cursor.error("tensor count", `at most ${MAX_TENSORS}`, String(count));
  }
  cursor.assertLeft(count * MIN_ENTRY_BYTES, "tensor table");
  const tensors = new Map<string, TensorInfo>();
  for (let i = 0; i < count; i++) {
    const tensor = await readEntry(cursor, i, align);
    if (tensors.has(tensor.name)) {
      throw cursor.error(`tensor ${i}`, "a new name", quote(tensor.name));
    }
    tensors.set(tensor.name, tensor);
  }
  // Offsets count from the first aligned byte after the table.
  const dataStart = Math.ceil(cursor.position / align) * align;
  for (const [name, tensor] of tensors) {
    tensors.set(name, { ...tensor, offset: dataStart + tensor.offset });
  }
  checkPlacement(cursor, tensors, fileBytes);
  return tensors;
}

function checkAlignment(cursor: GgufCursor, value: GgufValue): number {
  const valid = typeof value === "number" && value >= 8 && value <= MAX_ALIGNMENT;
  if (valid && Number.isInteger(Math.log2(value))) return value;
  const got = typeof value === "object" ? "an array" : quote(String(value));
  throw cursor.error("general.alignment", `a power of two from 8 to ${MAX_ALIGNMENT}`, got);
}

/** One entry; its offset still counts from the start of the data. */
async function readEntry(cursor: GgufCursor, index: number, align: number): Promise<TensorInfo> {
  const name = await readString(cursor, MAX_NAME_BYTES, `name of tensor ${index}`);
  if (name === "") throw cursor.error(`name of tensor ${index}`, "a name", "none");
  const field = `tensor ${quote(name)}`;
  await cursor.ensure(4, field);
  const rank = cursor.u32();
  if (rank < 1 || rank > MAX_DIMENSIONS) {
    throw cursor.error(field, `of 1 to ${MAX_DIMENSIONS} dimensions`, String(rank));
  }
  await cursor.ensure(rank * 8 + 12, field);
  const shape: number[] = [];
  for (let d = 0; d < rank; d++) shape.unshift(cursor.u64(`dimension ${d} of ${field}`));
  const typeId = cursor.u32();
  const offset = cursor.u64(`offset of ${field}`);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (shape.includes(0) || !Number.isSafeInteger(elements)) {
    throw cursor.error(`shape of ${field}`, "1 to 2^53 elements", shape.join(" x "));
  }
  const type = tensorTypeOfGguf(typeId);
  if (type === undefined) {
    const what = `${cursor.file}: type ${unreadGgufType(typeId)} of ${field}`;
    throw new UnsupportedModelError(what, TENSOR_TYPES);
  }
  const cols = shape[shape.length - 1] ?? 0;
  const { elements: blockElements } = BLOCK_SHAPES[type];
  if (cols % blockElements !== 0) {
    throw cursor.error(`row of ${field}`, `whole ${type} blocks of ${blockElements}`, String(cols));
  }
  if (offset % align !== 0) {
    throw cursor.error(`offset of ${field}`, `a multiple of ${align}`, String(offset));
  }
  return { name, type, shape, offset, bytes: tensorBytes(type, elements) };
}

/** In file order, each tensor must begin after the one before it and end inside the file. */
function checkPlacement(
  cursor: GgufCursor,
  tensors: ReadonlyMap<string, TensorInfo>,
  fileBytes: number,
): void {
  const sorted = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  let end = 0;
  let before = "";
  for (const { name, offset, bytes } of sorted) {
    const field = `tensor ${quote(name)}`;
    if (offset < end) {
      throw cursor.error(field, `after ${before}, which ends at ${end}`, `offset ${offset}`);
    }
    end = offset + bytes;
    before = field;
    if (end > fileBytes) {
      throw cursor.error(field, `inside the file of ${fileBytes} bytes`, `an end at ${end}`);
    }
  }
}
