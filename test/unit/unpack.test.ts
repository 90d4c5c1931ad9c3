import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unpackOnce, unpackTar } from "../../src/cli/unpack.ts";

let cache: string;
let fills: number;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "unpack-"));
  fills = 0;
});

afterEach(() => rm(cache, { recursive: true }));

async function fill(folder: string): Promise<void> {
  fills++;
  await mkdir(join(folder, "lib"));
  await writeFile(join(folder, "lib/library.so"), "0123456789");
}

const make = (): Promise<string> => unpackOnce("thing-1.0", fill, cache);
const text = (folder: string): Promise<string> => readFile(join(folder, "lib/library.so"), "utf8");

describe("unpackOnce", () => {
  test("fills a folder once", async () => {
    const folder = await make();
    expect(await make()).toBe(folder);
    expect(fills).toBe(1);
    expect(await text(folder)).toBe("0123456789");
  });

  test("makes a folder again that lost a file or a part of one", async () => {
    const folder = await make();
    await truncate(join(folder, "lib/library.so"), 4);
    expect(await text(await make())).toBe("0123456789");
    await rm(join(folder, "lib"), { recursive: true });
    expect(await text(await make())).toBe("0123456789");
    expect(fills).toBe(3);
  });

  test("takes no folder without a manifest, such as one left by another program", async () => {
    await mkdir(join(cache, "thing-1.0/lib"), { recursive: true });
    await writeFile(join(cache, "thing-1.0/lib/library.so"), "foreign");
    expect(await text(await make())).toBe("0123456789");
  });

  test("leaves nothing behind when filling fails", async () => {
    const failing = unpackOnce("thing-1.0", () => Promise.reject(new Error("no space")), cache);
    await expect(failing).rejects.toThrow("no space");
    expect(await readdir(cache)).toEqual([]);
  });

  test("gives everyone a whole folder when several ask at once", async () => {
    const folders = await Promise.all([make(), make(), make()]);
    for (const folder of folders) expect(await text(folder)).toBe("0123456789");
    expect(await readdir(cache)).toEqual(["thing-1.0"]);
  });
});

describe("unpackTar", () => {
  test("unpacks all or the named members, and refuses a broken archive", async () => {
    await writeFile(join(cache, "a.txt"), "a");
    await writeFile(join(cache, "b.txt"), "b");
    const tar = spawnSync("tar", ["-c", "-C", cache, "a.txt", "b.txt"]).stdout;
    const archive = join(cache, "both.tar.br");
    await writeFile(archive, brotliCompressSync(tar));
    await unpackTar(archive, join(cache, "all"));
    expect((await readdir(join(cache, "all"))).toSorted()).toEqual(["a.txt", "b.txt"]);
    await unpackTar(archive, join(cache, "one"), ["b.txt"]);
    expect(await readdir(join(cache, "one"))).toEqual(["b.txt"]);

    await truncate(archive, 20);
    await expect(unpackTar(archive, join(cache, "none"))).rejects.toThrow(/unexpected|tar could/);
  });
});
