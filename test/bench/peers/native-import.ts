import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Vite rewrites every module that it is asked for by file, a peer's hundreds too; it leaves those of a data URL alone. */
const NATIVE = "data:text/javascript,export const load = (url) => import(url)";

/** Imports a file of an installed peer as Node does. */
export async function nativeImport(folder: string, path: string): Promise<object> {
  const { load } = (await import(/* @vite-ignore */ NATIVE)) as {
    load(url: string): Promise<object>;
  };
  return load(pathToFileURL(join(folder, path)).href);
}
