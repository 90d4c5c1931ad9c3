import { assertRange, type ByteSource } from "./byte-source.ts";

/** Several sources as one, the second right after the first, and so on; a read stays within one of them. */
export function joinSources(parts: readonly ByteSource[], name: string): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    name,
    size,
    async read(offset, length, signal, into) {
      assertRange({ name, size }, offset, length);
      const index = starts.findLastIndex((start) => start <= offset);
      const [part, start] = [parts[index], starts[index]] as [ByteSource, number];
      return part.read(offset - start, length, signal, into);
    },
  };
}
