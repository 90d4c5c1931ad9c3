import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a private folder among the system's temporary ones; it is gone when this process ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ziggurat-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
