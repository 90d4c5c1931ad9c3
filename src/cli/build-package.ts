import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type InlineConfig, type Plugin } from "vite";
import { buildTypes } from "./build-types.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** Shaders without comments; lines stay, since errors name them. */
function barerShaders(): Plugin {
  return {
    name: "barer-shaders",
    enforce: "pre",
    async load(id) {
      if (!id.endsWith(".wgsl?raw")) return undefined;
      const text = await readFile(id.slice(0, -"?raw".length), "utf8");
      const bare = text.replace(/[ \t]*\/\/.*$/gm, "");
      return `export default ${JSON.stringify(bare)}`;
    },
  };
}

/**
 * Settings that all of the package's builds share.
 * @param external what is left to the app's bundler
 */
export function packageSettings(
  folder: string,
  entry: Readonly<Record<string, string>>,
  external: readonly (string | RegExp)[],
): InlineConfig {
  return {
    configFile: false,
    root: TOP,
    publicDir: false,
    logLevel: "warn",
    plugins: [barerShaders()],
    worker: { format: "es", plugins: () => [barerShaders()] },
    build: {
      target: "es2023",
      outDir: folder,
      emptyOutDir: false,
      minify: true,
      lib: { entry: { ...entry }, formats: ["es"] },
      rolldownOptions: {
        external: [...external],
        output: { chunkFileNames: "shared/[name].js", minify: true },
      },
    },
  };
}

/**
 * Build what the package has: entries whose dependencies the app's bundler resolves, one file for
 * pages without a bundler, and the types.
 * @param folder where to; what was there is removed
 */
export async function buildPackage(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const { dependencies, exports } = await readManifest();
  const names = entryNames(exports);
  const source = (name: string): string => join(TOP, `src/${name}.ts`);
  const entries = Object.fromEntries(names.map((name) => [name, source(name)]));
  await build(packageSettings(folder, entries, Object.keys(dependencies)));
  await build(packageSettings(folder, { standalone: source("index") }, []));
  buildTypes(TOP, names.map(source), join(folder, "types"));
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
}

async function readManifest(): Promise<Manifest> {
  return JSON.parse(await readFile(join(TOP, "package.json"), "utf8")) as Manifest;
}

/** Names of the sources that the package exports, but for the one file for pages without a bundler. */
function entryNames(exports: Manifest["exports"]): string[] {
  return Object.keys(exports)
    .map((path) => (path === "." ? "index" : path.slice(2)))
    .filter((name) => !["standalone", "package.json"].includes(name));
}

/** `npm run build:package [-- FOLDER]`: builds into dist/package. */
export async function main([
  folder = join(TOP, "dist/package"),
]: readonly string[]): Promise<number> {
  await buildPackage(folder);
  process.stderr.write(`The package is in ${folder}.\n`);
  return 0;
}
