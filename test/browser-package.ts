import { execFile } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { access, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { findChromiumPackage, libraryPath } from "../src/cli/chromium-package.ts";
import { unpackOnce, unpackTar } from "../src/cli/unpack.ts";

/** A browser that can be started, and what its process needs. */
export interface Browser {
  readonly executable: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Names under which Chrome and Chromium are installed, and where they are installed without a name in the path. */
const NAMES = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"];
const PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  "C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe",
];

/** The package's own settings name folders in which the fonts would lie if it were unpacked by itself. */
const FONT_SETTINGS = "fonts-beside.conf";
const FONTS_BESIDE = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;

/**
 * Finds an installed Chrome or Chromium, or else unpacks the one of the npm package `@sparticuz/chromium`.
 *
 * @throws Error that says what to install where neither is there.
 */
export async function unpackBrowser(): Promise<Browser> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const candidates = [
    ...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))),
    ...PLACES,
  ];
  for (const executable of candidates) {
    if (await isBrowser(executable)) return { executable, environment: {} };
  }
  const chromium = await findChromiumPackage();
  if (chromium === undefined) {
    throw new Error("no browser: install Chrome or Chromium (x64 Linux: `npm ci` brings one)");
  }
  const { archives, version } = chromium;
  const folder = await unpackOnce(`chromium-${version}`, async (partial) => {
    await Promise.all([
      pipeline(
        createReadStream(join(archives, "chromium.br")),
        createBrotliDecompress(),
        createWriteStream(join(partial, "chromium"), { mode: 0o755 }),
      ),
      unpackTar(join(archives, "swiftshader.tar.br"), partial),
      unpackTar(join(archives, "al2023.tar.br"), partial), // lib/: NSS, expat
      unpackTar(join(archives, "fonts.tar.br"), partial), // fonts/
      writeFile(join(partial, FONT_SETTINGS), FONTS_BESIDE),
    ]);
  });
  return {
    executable: join(folder, "chromium"),
    environment: {
      ...libraryPath(join(folder, "lib")),
      FONTCONFIG_FILE: join(folder, FONT_SETTINGS),
    },
  };
}

/** Whether it is there and says that it is what it should be: some systems have only a stub that offers to install it. */
function isBrowser(executable: string): Promise<boolean> {
  if (process.platform === "win32")
    return access(executable).then(
      () => true,
      () => false,
    );
  return new Promise((resolve) => {
    execFile(executable, ["--version"], { timeout: 20_000 }, (error, stdout) => {
      resolve(error === null && /Chrom(e|ium)/.test(stdout));
    });
  });
}
