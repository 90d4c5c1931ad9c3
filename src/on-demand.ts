import { ModuleLoadError } from "./errors.ts";

/**
 * What `load` imports: a part of the library that not every app needs, which bundlers put into a file of its own.
 * @param part what it is for, in words
 * @throws ModuleLoadError
 */
export async function onDemand<T>(part: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new ModuleLoadError(part, { cause });
  }
}
