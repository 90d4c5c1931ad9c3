import { readFile, rename } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { unpackOnce, unpackTar } from "./unpack.ts";

/** The npm package `@sparticuz/chromium`: a headless Chromium for x64 Linux, with SwiftShader. */
export interface ChromiumPackage {
  readonly version: string;
  /** The folder of its archives. */
  readonly archives: string;
}

/** Finds the package, if it is installed and of use here (x64 Linux). */
export async function findChromiumPackage(): Promise<ChromiumPackage | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  } catch {
    return undefined;
  }
  const top = join(dirname(entry), "../..");
  const { version } = JSON.parse(await readFile(join(top, "package.json"), "utf8")) as {
    version: string;
  };
  return { version, archives: join(top, "bin") };
}

/**
 * Unpacks SwiftShader into a cache and gives a folder that makes it *the* Vulkan of a process which starts with that folder on
 * `LD_LIBRARY_PATH`: the library stands there under the loader's own name, so no Vulkan loader need be installed.
 */
export async function unpackSwiftShader(
  { version, archives }: ChromiumPackage,
  cache: string,
): Promise<string> {
  const fill = async (folder: string): Promise<void> => {
    const library = "libvk_swiftshader.so";
    await unpackTar(join(archives, "swiftshader.tar.br"), folder, [library]);
    await rename(join(folder, library), join(folder, "libvulkan.so.1"));
  };
  return unpackOnce(`swiftshader-${version}`, fill, cache);
}

/** The variable that puts a folder before all others in which the dynamic linker looks. */
export function libraryPath(folder: string): { readonly LD_LIBRARY_PATH: string } {
  const before = process.env["LD_LIBRARY_PATH"];
  return { LD_LIBRARY_PATH: before ? `${folder}:${before}` : folder };
}
