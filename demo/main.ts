import { connectAnnouncer } from "./announcer.ts";
import { createChat } from "./chat.ts";
import { isBusy } from "./chat-state.ts";
import { DEFAULT_MODEL, defaultModelUrl } from "./default-model.ts";
import { byId } from "./dom.ts";
import { connectFileInput } from "./file-input.ts";
import { createFocusKeeper } from "./focus-keeper.ts";
import { createHistory } from "./history/history.ts";
import { createSessionKeeper } from "./history/session-keeper.ts";
import { givenTurn } from "./history/stored-conversation.ts";
import { startCodeWorker } from "./markdown/code-tokens.ts";
import type { Remedy } from "./problem.ts";
import { offerRun } from "./shared-run.ts";
import { settingsFromQuery, settingsToQuery } from "./settings-address.ts";
import { applyTheme, readTheme } from "./theme.ts";
import { connectCacheControls } from "./views/cache-controls.ts";
import { connectComposer } from "./views/composer.ts";
import { connectHistoryDialog } from "./views/history-dialog.ts";
import { connectHistoryNotice } from "./views/history-notice.ts";
import { connectMemoryPanel } from "./views/memory-panel.ts";
import { connectRefusalNotice } from "./views/refusal-notice.ts";
import { connectSettingsDialog } from "./views/settings-dialog.ts";
import { connectSidePanel } from "./views/side-panel.ts";
import { createStageView } from "./views/stage-view.ts";
import { createThreadView } from "./views/thread-view.ts";

const offered = { name: DEFAULT_MODEL.name, source: defaultModelUrl(document.baseURI) };
const address = settingsFromQuery(location.search);
const chat = createChat(offered, address.settings, () => {
  scheduleRender();
  // Not with the drawing: nothing is drawn in a tab that isn't seen.
  history.noteChange();
  sessions.noteChange();
});
const history = createHistory(chat, () => {
  scheduleRender();
  sessions.noteChange();
});
const sessions = createSessionKeeper(chat, history, scheduleRender);
const composer = connectComposer(chat, () => thread.editLast());
const files = connectFileInput(
  (choice) => void chat.load(choice),
  (file) =>
    void file.text().then(
      (text) => composer.addDocument({ name: file.name, text }),
      () => chat.refuse(`${file.name} could not be read: it is a folder, or no longer there.`),
    ),
);
const sharedRun = offerRun(async () => {
  const { model } = chat.state;
  if (model.step !== "ready") return undefined;
  return { run: await model.engine.trace(), isBusy: isBusy(chat.state) };
});
const memory = connectMemoryPanel(sharedRun.address);
const cacheControls = connectCacheControls(chat, address.ignored);
connectSettingsDialog(chat);
const historyDialog = connectHistoryDialog(history, () => composer.focus());
const refusalNotice = connectRefusalNotice(chat, () => files.openPicker());
const historyNotice = connectHistoryNotice(history);
const panel = connectSidePanel(chat);
const announcer = connectAnnouncer();
const newConversation = byId("new-conversation", HTMLButtonElement);
const stage = createStageView(byId("stage", HTMLElement), chat, {
  openFile: files.openPicker,
  remedy,
  suggest({ question, earlier }) {
    if (earlier !== undefined) chat.openConversation(earlier.map(givenTurn));
    composer.write(question);
  },
});
const thread = createThreadView(byId("thread", HTMLElement), byId("log", HTMLElement), {
  answerAgain: () => chat.answerAgain(),
  goOn: () => chat.goOn(),
  compare: () => chat.compare(),
  edit: (turn, text) => chat.edit(turn, text),
  remove: (turn) => chat.remove(turn),
  showVersion: (turn, step) => chat.showVersion(turn, step),
  costOf: (turn) => chat.costOf(turn),
  remedy,
});
const focusKeeper = createFocusKeeper(() => {
  if (document.querySelector("dialog[open]") !== null) return;
  if (chat.state.model.step === "ready" || !stage.focus()) composer.focus();
});
let scheduled = false;
let wasReady = false;
let wasBusy = false;
let shownSettings = chat.state.settings;
applyTheme(readTheme());

newConversation.addEventListener("click", () => chat.newConversation());
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]") !== null) return;
  if (panel.close()) return;
  if (isBusy(chat.state)) chat.stop();
  else chat.cancelLoad();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return;
  void history.save();
  sessions.saveNow();
});
void history.start();
void chat.start();

/** However often the state changes, it is drawn once a frame. */
function scheduleRender(): void {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

function render(): void {
  const { state } = chat;
  composer.render();
  stage.render();
  thread.render(state);
  memory.render(state);
  panel.render();
  cacheControls.render();
  if (shownSettings !== state.settings) {
    shownSettings = state.settings;
    const query = settingsToQuery(shownSettings);
    globalThis.history.replaceState(null, "", query === "" ? location.pathname : `?${query}`);
  }
  announcer.render(state);
  historyDialog.render();
  historyNotice.render();
  refusalNotice.render();
  newConversation.disabled = state.turns.length === 0;
  const ready = state.model.step === "ready";
  // The button that began it is gone: go on where the question is written.
  if (ready && !wasReady && document.activeElement === document.body) composer.focus();
  focusKeeper.check();
  const busy = isBusy(state);
  if (busy !== wasBusy || ready !== wasReady) sharedRun.changed();
  wasBusy = busy;
  // While there is time, and a network.
  if (ready && !wasReady) startCodeWorker();
  wasReady = ready;
}

function remedy(kind: Remedy): void {
  switch (kind) {
    case "load-again":
      return void chat.loadAgain();
    case "load-with-less":
      return void chat.loadWithLess();
    case "cut-document":
      return void chat.cutDocument();
    case "choose-model":
      return void chat.putModelAway();
    case "choose-file":
      return files.openPicker();
    case "answer-again":
      return chat.answerAgain();
    case "shorten-question":
      return composer.write(chat.takeBackQuestion());
    case "ask-in-new-conversation": {
      const question = chat.takeBackQuestion();
      chat.newConversation();
      return composer.write(question);
    }
    default:
      return kind satisfies never;
  }
}
