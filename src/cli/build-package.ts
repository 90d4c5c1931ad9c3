import { copyFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type InlineConfig, type Plugin } from "vite";
import { buildTypes } from "./build-types.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** Small modules that nearly every part needs: one file for all of them. */
const BASICS =
  /\/src\/(errors|on-demand|formats\/byte-source|model\/fingerprint|gpu\/shaders\/texts)\.ts$/;

/** Shaders without comments and indentation; lines stay, since errors name them. */
function barerShaders(): Plugin {
  return {
    name: "barer-shaders",
    enforce: "pre",
    async load(id) {
      if (!id.endsWith(".wgsl?raw")) return undefined;
      const text = await readFile(id.slice(0, -"?raw".length), "utf8");
      const bare = text.replace(/^[ \t]+|[ \t]*\/\/.*$/gm, "");
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
    // A worker in a data address can import nothing beside it.
    worker: {
      format: "es",
      plugins: () => [barerShaders()],
      rolldownOptions: { output: { codeSplitting: false } },
    },
    build: {
      target: "es2023",
      outDir: folder,
      emptyOutDir: false,
      minify: true,
      lib: { entry: { ...entry }, formats: ["es"] },
      rolldownOptions: {
        external: [...external],
        output: {
          chunkFileNames: "shared/[name].js",
          minify: true,
          codeSplitting: { groups: [{ name: "basics", test: BASICS }] },
        },
      },
    },
  };
}

/** The same build with what is imported on demand in the file itself. */
function inOneFile(settings: InlineConfig): InlineConfig {
  const { rolldownOptions, ...rest } = settings.build ?? {};
  const output = { codeSplitting: false, minify: true };
  return { ...settings, build: { ...rest, rolldownOptions: { ...rolldownOptions, output } } };
}

/**
 * Build what the package has: entries whose dependencies the app's bundler resolves, one file for
 * pages without a bundler, the types, and the command. What was in the folders is removed.
 */
async function buildPackage(): Promise<void> {
  const folder = join(TOP, "dist/package");
  await rm(folder, { recursive: true, force: true });
  const { dependencies, exports } = await readManifest();
  const names = entryNames(exports);
  const source = (name: string): string => join(TOP, `src/${name}.ts`);
  const entries = Object.fromEntries(names.map((name) => [name, source(name)]));
  const external = Object.keys(dependencies).map((name) => new RegExp(`^${name}(/|$)`));
  await build(packageSettings(folder, entries, external));
  await build(inOneFile(packageSettings(folder, { standalone: source("index") }, [])));
  await buildCommand(join(TOP, "dist/cli"));
  buildTypes(TOP, names.map(source), join(folder, "types"));
}

/**
 * Build the `ziggurat` command for Node as `ziggurat.js` in a folder, which is emptied. It has to lie two folders under
 * the package's top, as its sources do: they look for what they unpack from there.
 */
export async function buildCommand(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await build({
    configFile: false,
    root: TOP,
    publicDir: false,
    logLevel: "warn",
    plugins: [barerShaders()],
    build: {
      ssr: true,
      target: "node20",
      outDir: folder,
      rolldownOptions: {
        input: { ziggurat: join(TOP, "src/cli/bin.mjs") },
        output: { entryFileNames: "[name].js", chunkFileNames: "[name].js" },
      },
    },
  });
  // Run by path, in a process of its own.
  await copyFile(join(TOP, "src/cli/probe-adapter.mjs"), join(folder, "probe-adapter.mjs"));
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

/** `npm run build:package`: builds into dist. */
export async function main(): Promise<number> {
  await buildPackage();
  process.stderr.write("The package is in dist/package, its command in dist/cli.\n");
  return 0;
}
