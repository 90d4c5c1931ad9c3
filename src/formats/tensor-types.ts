/** How the elements of a tensor are stored; the names are those of GGUF. */
export type TensorType =
  "F32" | "F16" | "BF16" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q8_0" | "Q4_K" | "Q5_K" | "Q6_K";

/** Where a tensor lies and how. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  /** Outermost first: a matrix is `[rows, cols]`, and a row's elements are neighbours. */
  readonly shape: readonly number[];
  /** First byte, from the start of the source. */
  readonly offset: number;
  readonly bytes: number;
  /** What loading makes of a matrix of floats; without it they become f16. */
  readonly quantize?: QuantizedWeights;
}

/** What floats can be quantised to on load. */
export type QuantizedWeights = "q4" | "q8";

/** Where a model's tensors are, whatever files they came in; the keys are the tensors' names in GGUF. */
export interface TensorFile {
  /** Of the source, for messages. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** The unit in which a type is stored: `elements` neighbours of one row take `bytes`. */
export interface BlockShape {
  readonly elements: number;
  readonly bytes: number;
  /** The type's number in a GGUF file. */
  readonly ggufId: number;
}

/** Every type that we read. */
export const BLOCK_SHAPES: Readonly<Record<TensorType, BlockShape>> = {
  F32: { elements: 1, bytes: 4, ggufId: 0 },
  F16: { elements: 1, bytes: 2, ggufId: 1 },
  BF16: { elements: 1, bytes: 2, ggufId: 30 },
  Q4_0: { elements: 32, bytes: 18, ggufId: 2 },
  Q4_1: { elements: 32, bytes: 20, ggufId: 3 },
  Q5_0: { elements: 32, bytes: 22, ggufId: 6 },
  Q5_1: { elements: 32, bytes: 24, ggufId: 7 },
  Q8_0: { elements: 32, bytes: 34, ggufId: 8 },
  Q4_K: { elements: 256, bytes: 144, ggufId: 12 },
  Q5_K: { elements: 256, bytes: 176, ggufId: 13 },
  Q6_K: { elements: 256, bytes: 210, ggufId: 14 },
};

/** The names of all types that we read. */
export const TENSOR_TYPES: readonly TensorType[] = Object.keys(BLOCK_SHAPES) as TensorType[];

/** Bytes of `elements` elements, which must be whole blocks. */
export function tensorBytes(type: TensorType, elements: number): number {
  const block = BLOCK_SHAPES[type];
  return (elements / block.elements) * block.bytes;
}

/** The type with that number in GGUF, or undefined where we don't read it. */
export function tensorTypeOfGguf(id: number): TensorType | undefined {
  return TENSOR_TYPES.find((type) => BLOCK_SHAPES[type].ggufId === id);
}

/** GGUF's types that we don't read, so that a message can name them. */
const OTHER_GGUF_TYPES: Readonly<Record<number, string>> = {
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
  40: "NVFP4",
  41: "Q1_0",
};

/** What a message calls a GGUF type number that we don't read. */
export function unreadGgufType(id: number): string {
  return OTHER_GGUF_TYPES[id] ?? `number ${id}`;
}
