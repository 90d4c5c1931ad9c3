import { readdirSync, readFileSync } from "node:fs";

const TASKS = "/proc/self/task";

/**
 * CPU seconds that this process's threads but its main one have used so far: on a CPU adapter the work of the "GPU",
 * which competing processes stretch in wall time but hardly change. Nothing where the system doesn't tell (Linux does).
 */
export function workerCpuSeconds(): number | undefined {
  let nanoseconds = 0;
  try {
    for (const id of readdirSync(TASKS)) {
      if (id !== String(process.pid)) nanoseconds += cpuNanoseconds(id);
    }
  } catch {
    return undefined;
  }
  return nanoseconds / 1e9;
}

/** The first number of `schedstat`; a thread may have ended meanwhile. */
function cpuNanoseconds(id: string): number {
  try {
    return Number.parseInt(readFileSync(`${TASKS}/${id}/schedstat`, "utf8"), 10);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}
