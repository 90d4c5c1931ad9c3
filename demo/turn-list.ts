import { type ChatState, isBusy } from "./chat-state.ts";
import { createTurn, type Question, type TextDocument, type Turn } from "./conversation.ts";
import { formatCount } from "./format.ts";
import { fromStored, type StoredTurn } from "./history/stored-conversation.ts";
import { addVersion, dropLast, showVersion, versionOf } from "./versions.ts";

const NO_QUESTION: Question = { text: "", documents: [] };

/** Changes the turns of the conversation, and which conversation it is; nothing here answers. */
export interface TurnList {
  add(question: Question): void;
  /** A turn to answer the last question in: a new version, unless there is no answer to keep. */
  again(): void;
  /** Put a question in other words, as a new version. */
  edit(turn: Turn, text: string): void;
  /** Replace the documents of the last question by shorter ones. */
  cut(documents: readonly TextDocument[]): void;
  /** Take a question and its answer out, with all their versions. */
  remove(turn: Turn): void;
  showVersion(turn: Turn, step: -1 | 1): void;
  undo(): void;
  /** Take the last question out; an earlier version of it stays. */
  takeBack(): Question;
  /** Begin anew, with the conversation so far put aside. */
  begin(): void;
  bringBack(): void;
  open(turns: readonly StoredTurn[]): void;
}

/** @param update changes the state and lets it be shown */
export function createTurnList(
  state: ChatState,
  update: (patch: Partial<ChatState>) => void,
): TurnList {
  let lastTurnId = 0;
  let nextConversationId = state.conversationId + 1;
  const nextTurnId = (): number => ++lastTurnId;

  const show = (conversationId: number, turns: Turn[]): void => {
    const putAside = { conversationId: state.conversationId, turns: state.turns };
    const gone = { undo: undefined, comparison: undefined, reopening: undefined };
    update({ conversationId, turns, putAside, ...gone });
  };

  return {
    add(question) {
      const turns = [...state.turns, createTurn(nextTurnId(), question)];
      update({ turns, undo: undefined });
    },

    again() {
      const { turns } = state;
      const turn = turns.at(-1);
      if (turn === undefined) return;
      if (turn.answer === "") {
        turn.state = "waiting";
        return update({ comparison: undefined });
      }
      const next = createTurn(nextTurnId(), turn);
      update({ turns: addVersion(turns, turns.length - 1, next), comparison: undefined });
    },

    edit(turn, text) {
      const { turns } = state;
      const next = createTurn(nextTurnId(), { ...turn, text });
      const undo = { said: "The question was changed.", turns };
      update({ turns: addVersion(turns, turns.indexOf(turn), next), undo });
    },

    cut(documents) {
      const turn = state.turns.at(-1);
      if (turn === undefined) return;
      const shorter = createTurn(nextTurnId(), { ...turn, documents });
      shorter.others = turn.others;
      const undo = { said: cutText(turn.documents, documents), turns: state.turns };
      update({ turns: [...state.turns.slice(0, -1), shorter], undo });
    },

    remove(turn) {
      const { turns } = state;
      const { count } = versionOf(turn);
      const answers = count === 1 ? "its answer" : `its ${count} versions`;
      const undo = { said: `A question and ${answers} were deleted.`, turns };
      update({ turns: turns.filter((other) => other !== turn), undo });
    },

    showVersion(turn, step) {
      if (!isBusy(state)) update({ turns: showVersion(state.turns, turn, step), undo: undefined });
    },

    undo() {
      if (state.undo !== undefined) update({ turns: state.undo.turns, undo: undefined });
    },

    takeBack() {
      const turn = state.turns.at(-1);
      if (turn === undefined || isBusy(state)) return NO_QUESTION;
      update({ turns: dropLast(state.turns) });
      return turn;
    },

    begin() {
      if (state.turns.length > 0) show(nextConversationId++, []);
    },

    bringBack() {
      show(state.putAside.conversationId, state.putAside.turns);
    },

    open(turns) {
      show(
        nextConversationId++,
        turns.map((turn) => fromStored(nextTurnId, turn)),
      );
      update({ putAside: { conversationId: 0, turns: [] } });
    },
  };
}

/** `report.md was cut from 90,000 to 31,250 characters.` */
function cutText(before: readonly TextDocument[], after: readonly TextDocument[]): string {
  const texts = before.flatMap(({ name, text }, at) => {
    const left = after[at]?.text.length ?? 0;
    const [was, is] = [formatCount(text.length), formatCount(left)];
    return left < text.length ? [`${name} was cut from ${was} to ${is} characters.`] : [];
  });
  return texts.join(" ");
}
