import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";

/** Where this checkout keeps what it unpacks: private to it, and gone with `node_modules`. */
export const CACHE_FOLDER: string = fileURLToPath(
  new URL("../../node_modules/.cache/ziggurat", import.meta.url),
);

const MANIFEST = "manifest.json";

/**
 * Makes a folder in the cache once and gives its path. It is filled under another name and then renamed, so it is there
 * whole or not at all, also when several processes ask at once; and a folder whose files lost or changed their size
 * since is made again.
 *
 * @param name The folder's name; put the version of what it holds into it.
 * @param fill Writes the files into the (empty) folder that it is given.
 * @param cache The folder that holds it.
 */
export async function unpackOnce(
  name: string,
  fill: (folder: string) => Promise<void>,
  cache: string = CACHE_FOLDER,
): Promise<string> {
  const folder = join(cache, name);
  if (await isWhole(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const partial = await mkdtemp(`${folder}.partial-`);
  try {
    await fill(partial);
    await writeFile(join(partial, MANIFEST), JSON.stringify(await sizesOf(partial)));
    await putInPlace(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return folder;
}

/** Unpacks a `.tar.br`, or of it only the named members, into a folder. */
export async function unpackTar(
  archive: string,
  folder: string,
  members: readonly string[] = [],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tar = spawn("tar", ["-x", "-f", "-", "-C", folder, "--no-same-owner", ...members], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  let said = "";
  tar.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const ended = new Promise<void>((resolve, reject) => {
    tar.once("error", reject);
    tar.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`tar could not unpack ${archive} (exit code ${code}): ${said.trim()}`));
    });
  });
  const fed = pipeline(createReadStream(archive), createBrotliDecompress(), tar.stdin).catch(
    (error: NodeJS.ErrnoException) => {
      // tar stops reading at the end mark, before the padding behind it; its exit code tells whether all went well.
      if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
    },
  );
  await Promise.all([fed, ended]);
}

async function isWhole(folder: string): Promise<boolean> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, MANIFEST), "utf8")) as object;
    for (const [path, bytes] of Object.entries(manifest)) {
      if ((await lstat(join(folder, path))).size !== bytes) return false;
    }
    return true;
  } catch {
    return false; // not there yet, or parts of it are gone
  }
}

async function sizesOf(folder: string): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const path of await readdir(folder, { recursive: true })) {
    const stats = await lstat(join(folder, path));
    if (!stats.isDirectory()) sizes[path] = stats.size;
  }
  return sizes;
}

async function putInPlace(partial: string, folder: string): Promise<void> {
  try {
    await rename(partial, folder);
  } catch (error) {
    // Another process was faster, or what stood there is broken.
    if (await isWhole(folder)) return;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
  }
}
