import type { SafetensorsDtype } from "../../src/formats/safetensors.ts";

/** A tensor to write; `data` as it lies in the file. */
export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A safetensors file with these tensors in this order: the reader's opposite. */
export function buildSafetensors(
  tensors: readonly SafetensorsTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  let end = 0;
  for (const { name, dtype, shape, data } of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [end, (end += data.length)] }]);
  }
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const file = new Uint8Array(8 + header.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  let at = 8 + header.length;
  for (const { data } of tensors) {
    file.set(data, at);
    at += data.length;
  }
  return file;
}
