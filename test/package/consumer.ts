import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const TOP: string = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a program to its end; its output is in the error where it fails. */
export const run: (
  file: string,
  args: readonly string[],
  options?: { readonly cwd?: string },
) => Promise<{ readonly stdout: string; readonly stderr: string }> = promisify(execFile);

/** A program of this checkout's `node_modules`, run by Node. */
export function runModule(path: string, args: readonly string[], cwd: string): Promise<unknown> {
  return run(process.execPath, [join(TOP, "node_modules", path), ...args], { cwd }).catch(
    ({ stdout, stderr }: { stdout: string; stderr: string }) => {
      throw new Error(`${path}: ${stdout}${stderr}`);
    },
  );
}

/** Somebody's project, with the packed package in its `node_modules`. */
export interface Consumer {
  readonly folder: string;
  readonly tarball: string;
  /** Where the package lies unpacked. */
  readonly packed: string;
  /** Files in the tarball. */
  readonly files: readonly string[];
  /** Put a package of this checkout into the project's `node_modules`. */
  install(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Packs the package as `npm publish` would, and unpacks it in a project of its own. */
export async function makeConsumer(): Promise<Consumer> {
  const folder = await mkdtemp(join(tmpdir(), "ziggurat-consumer-"));
  const modules = join(folder, "node_modules");
  const packed = join(modules, "ziggurat-llm");
  await mkdir(packed, { recursive: true });
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: TOP,
  });
  const [{ filename, files }] = JSON.parse(stdout) as [
    { filename: string; files: { path: string }[] },
  ];
  const tarball = join(folder, filename);
  await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", packed]);
  // What the package depends on, and what its users have for TypeScript before version 6.
  const install = (name: string): Promise<void> =>
    symlink(join(TOP, "node_modules", name), join(modules, name));
  for (const name of ["@huggingface", "@noble", "@webgpu", "eventsource-parser"])
    await install(name);
  for (const name of ["app", "plain", "types"]) {
    await cp(join(TOP, "test/package", name), join(folder, name), { recursive: true });
  }
  return {
    folder,
    tarball,
    packed,
    files: files.map(({ path }) => path),
    install,
    close: () => rm(folder, { recursive: true }),
  };
}
