import { writeHistoryFile } from "./history-file.ts";
import { randomId } from "../random-id.ts";
import type { Shelf } from "./shelf.ts";
import type { ConversationHead, StoredConversation } from "./stored-conversation.ts";

/** What became of an import. */
export interface ImportCount {
  readonly added: number;
  /** Those that were here already, unchanged. */
  readonly known: number;
}

/** Conversations of a shelf as a file, in the order of `heads`; what was saved of caches isn't in it. */
export async function exportFrom(
  shelf: Shelf,
  heads: readonly ConversationHead[],
): Promise<string> {
  const all = await Promise.all(heads.map(({ id }) => shelf.read(id)));
  return writeHistoryFile(all.filter((found) => found !== undefined));
}

/** Put conversations beside those of a shelf, each once. */
export async function importInto(
  shelf: Shelf,
  conversations: readonly StoredConversation[],
): Promise<ImportCount> {
  let added = 0;
  for (const conversation of conversations) {
    const there = await shelf.read(conversation.id);
    if (there !== undefined && isSame(there, conversation)) continue;
    const id = there === undefined ? conversation.id : randomId();
    await shelf.put({ ...conversation, id, revision: 0 });
    added += 1;
  }
  return { added, known: conversations.length - added };
}

function isSame(a: StoredConversation, b: StoredConversation): boolean {
  return JSON.stringify([a.title, a.turns]) === JSON.stringify([b.title, b.turns]);
}
