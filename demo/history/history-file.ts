import type { KvDtype } from "../../src/index.ts";
import type { AnswerFigures } from "../answer-figures.ts";
import type { CacheAtEnd, Needle } from "../conversation.ts";
import { formatMiB } from "../format.ts";
import type { Reopening } from "../reopening.ts";
import { HistoryFileError } from "./history-file-error.ts";
import {
  part,
  type Placed,
  readChoice,
  readFlag,
  readList,
  readNumber,
  readOptional,
  readText,
  readTime,
} from "./placed-value.ts";
import type { StoredConversation, StoredTurn, StoredVersions } from "./stored-conversation.ts";

const FORMAT = "ziggurat-conversations";
const VERSION = 1;

/** Largest file that is read, in bytes. */
const MAX_BYTES = 64 * 2 ** 20;

/** Versions within versions, no deeper than this: more is no conversation that anyone led. */
const MAX_NESTED = 200;

const KV_DTYPES = Object.keys({ f16: 0, f32: 0 } satisfies Record<KvDtype, 0>) as KvDtype[];

/** Conversations as a file: JSON that begins with the name and the version of its format. */
export function writeHistoryFile(conversations: readonly StoredConversation[]): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, conversations }, undefined, 1)}\n`;
}

/**
 * The conversations of a file.
 * @throws HistoryFileError with what is wrong with it; then nothing of it is taken
 */
export async function readHistoryFile(file: Blob): Promise<StoredConversation[]> {
  if (file.size > MAX_BYTES) {
    throw new HistoryFileError(
      "too-large",
      `The file has ${formatMiB(file.size)}; up to ${formatMiB(MAX_BYTES)} can be imported. ` +
        "Export fewer conversations at a time.",
    );
  }
  const root: Placed = { value: parse(await file.text()), path: "" };
  const { value } = root;
  const isOurs = typeof value === "object" && value !== null && "format" in value;
  if (!isOurs || value.format !== FORMAT) {
    throw new HistoryFileError(
      "not-history",
      "This file holds no conversations of this page. Choose one that was exported here.",
    );
  }
  const version = part(root, "version").value;
  if (version !== VERSION) {
    throw new HistoryFileError(
      "wrong-version",
      `The file has version ${JSON.stringify(version)} of the format, and this page reads version ` +
        `${VERSION}. Open the page anew to get its latest version, then import again.`,
    );
  }
  return readList(part(root, "conversations"), readConversation);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HistoryFileError(
      "not-json",
      `The file is no JSON, or only a part of it (${String(error)}). Export the conversations again.`,
    );
  }
}

function readConversation(of: Placed): StoredConversation {
  const turns = readList(part(of, "turns"), (turn) => readTurn(turn, 0));
  return {
    id: readText(part(of, "id")),
    title: readText(part(of, "title")),
    createdAt: readTime(part(of, "createdAt")),
    changedAt: readTime(part(of, "changedAt")),
    revision: readNumber(part(of, "revision")),
    questions: turns.length,
    turns,
  };
}

function readTurn(of: Placed, nested: number): StoredTurn {
  const needle = readOptional(part(of, "needle"), readNeedle);
  const others = readOptional(part(of, "others"), (there) => readVersions(there, nested + 1));
  return {
    text: readText(part(of, "text")),
    documents: readList(part(of, "documents"), (item) => ({
      name: readText(part(item, "name")),
      text: readText(part(item, "text")),
    })),
    ...(needle === undefined ? {} : { needle }),
    answer: readText(part(of, "answer")),
    answerTokenIds: readList(part(of, "answerTokenIds"), readNumber),
    answeredBy: readOptional(part(of, "answeredBy"), readText),
    state: readChoice(part(of, "state"), ["done", "stopped", "failed"]),
    figures: readFigures(part(of, "figures")),
    cutAtLimit: readFlag(part(of, "cutAtLimit")),
    cache: readOptional(part(of, "cache"), readCache),
    ...(others === undefined ? {} : { others }),
  };
}

function readVersions(of: Placed, nested: number): StoredVersions {
  if (nested > MAX_NESTED) {
    throw new HistoryFileError(
      "damaged",
      `The file is damaged: versions of questions lie more than ${MAX_NESTED} deep in each other. ` +
        "Export the conversations again, or take an older file.",
    );
  }
  const read = (name: "earlier" | "later"): StoredTurn[][] =>
    readList(part(of, name), (version) => readList(version, (turn) => readTurn(turn, nested)))
      // Without a turn there is nothing to show.
      .filter((version) => version.length > 0);
  return { earlier: read("earlier"), later: read("later") };
}

function readNeedle(of: Placed): Needle {
  return { fact: readText(part(of, "fact")), answer: readText(part(of, "answer")) };
}

function readFigures(of: Placed): AnswerFigures {
  const names = [
    "readTokens",
    "totalTokens",
    "readTokensPerSecond",
    "readMsLeft",
    "firstTokenMs",
    "wroteTokens",
    "wroteTokensPerSecond",
  ] as const;
  const known = names.map((name) => [name, readOptional(part(of, name), readNumber)] as const);
  return Object.fromEntries(known.filter(([, value]) => value !== undefined));
}

function readCache(of: Placed): CacheAtEnd {
  const report = part(of, "report");
  const kv = part(of, "kv");
  const reopening = readOptional(part(of, "reopening"), readReopening);
  return {
    report: {
      policy: readText(part(report, "policy")),
      kvDtype: readChoice(part(report, "kvDtype"), KV_DTYPES),
      tokens: readNumber(part(report, "tokens")),
      evicted: readFlag(part(report, "evicted")),
    },
    kv: {
      allocated: readNumber(part(kv, "allocated")),
      full: readNumber(part(kv, "full")),
      peak: readNumber(part(kv, "peak")),
    },
    cachedTokens: readNumber(part(of, "cachedTokens")),
    ...(reopening === undefined ? {} : { reopening }),
  };
}

function readReopening(of: Placed): Reopening {
  const why = readOptional(part(of, "why"), readText);
  if (why !== undefined) return { why };
  return {
    tokens: readNumber(part(of, "tokens")),
    bytes: readNumber(part(of, "bytes")),
    ms: readNumber(part(of, "ms")),
  };
}
