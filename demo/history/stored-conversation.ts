import { type CacheAtEnd, createTurn, type Turn } from "../conversation.ts";
import { NO_OTHERS, type OtherVersions, versionOf } from "../versions.ts";

/** What is kept of a turn: all but what belongs to the running page. */
export type StoredTurn = Pick<
  Turn,
  | "text"
  | "documents"
  | "needle"
  | "answer"
  | "answerTokenIds"
  | "answeredBy"
  | "figures"
  | "cutAtLimit"
  | "cache"
> & {
  readonly state: "done" | "stopped" | "failed";
  /** Absent where there is none. */
  readonly others?: StoredVersions;
};

/** Other versions of a turn, each with all that came after it. */
export interface StoredVersions {
  readonly earlier: readonly (readonly StoredTurn[])[];
  readonly later: readonly (readonly StoredTurn[])[];
}

/** What a list of conversations shows of one. */
export interface ConversationHead {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly changedAt: number;
  /** Counts its saves, so that two tabs notice each other. */
  readonly revision: number;
  /** How many questions it has. */
  readonly questions: number;
}

/** A conversation as it is kept. */
export interface StoredConversation extends ConversationHead {
  readonly turns: readonly StoredTurn[];
}

const TITLE_LENGTH = 80;

/** The first words of the first question, or the name of its document. */
export function titleOf(turns: readonly Pick<Turn, "text" | "documents">[]): string {
  const [first] = turns;
  const words = (first?.text || first?.documents[0]?.name || "").replace(/\s+/g, " ").trim();
  const cut = words.length > TITLE_LENGTH ? `${words.slice(0, TITLE_LENGTH - 1)}…` : words;
  return cut || "Without a question";
}

/** A turn as it is kept; an answer in the making is one that was stopped. */
export function toStored(turn: Turn): StoredTurn {
  const { text, documents, needle, answer, answerTokenIds, answeredBy } = turn;
  const { figures, cutAtLimit, cache } = turn;
  const { state } = turn;
  return {
    text,
    documents: documents.map((document) => ({ name: document.name, text: document.text })),
    ...(needle === undefined ? {} : { needle }),
    answer,
    answerTokenIds: [...answerTokenIds],
    answeredBy,
    state: state === "done" || state === "failed" ? state : "stopped",
    figures,
    cutAtLimit,
    cache: cache === undefined ? undefined : cacheToKeep(cache),
    ...(versionOf(turn).count === 1 ? {} : { others: othersToKeep(turn.others) }),
  };
}

/** A turn that no model has answered: both sides are given. */
export function givenTurn(given: {
  readonly question: string;
  readonly answer: string;
}): StoredTurn {
  const turn = createTurn(0, { text: given.question, documents: [] });
  return toStored({ ...turn, answer: given.answer, state: "done" });
}

/** The first turn of each doesn't say it again: its versions are those of the place. */
function othersToKeep({ earlier, later }: OtherVersions): StoredVersions {
  const keep = (version: readonly Turn[]): StoredTurn[] =>
    version.map((turn, at) => toStored(at === 0 ? { ...turn, others: NO_OTHERS } : turn));
  return { earlier: earlier.map(keep), later: later.map(keep) };
}

/** Its figures, without those of each layer. */
function cacheToKeep({ report, kv, cachedTokens, reopening }: CacheAtEnd): CacheAtEnd {
  const { policy, kvDtype, tokens, evicted } = report;
  const { allocated, full, peak } = kv;
  return {
    report: { policy, kvDtype, tokens, evicted },
    kv: { allocated, full, peak },
    cachedTokens,
    ...(reopening === undefined ? {} : { reopening }),
  };
}

/** A kept turn, back in the page; it and its other versions get new ids. */
export function fromStored(nextId: () => number, stored: StoredTurn): Turn {
  const back = (version: readonly StoredTurn[]): Turn[] =>
    version.map((turn) => fromStored(nextId, turn));
  const { earlier = [], later = [] } = stored.others ?? {};
  return {
    ...createTurn(nextId(), stored),
    ...stored,
    answerTokenIds: [...stored.answerTokenIds],
    others: { earlier: earlier.map(back), later: later.map(back) },
  };
}

/** Changes whenever something of the turns does that is worth a save. */
export function fingerprint(turns: readonly Turn[]): string {
  return turns
    .map(({ id, state, answer, attempt }) => `${id} ${state} ${answer.length} ${attempt}`)
    .join();
}
