import { ZigTokens } from "../../src/elements.ts";
import type { ChatState } from "../chat-state.ts";
import { toMessages, type Turn } from "../conversation.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { type KeptFilter, keptTokens, shareKept } from "../kept-tokens.ts";
import { needleVerdict } from "../needle-verdict.ts";
import { selectField } from "./fields.ts";

/** The prompt of a turn, each token tinted by how much of the cache keeps it. */
export interface KeptView {
  readonly element: HTMLElement;
  /** @param isCurrent it is the last turn, and nothing runs */
  render(state: ChatState, isCurrent: boolean): void;
}

interface Reading {
  readonly texts: readonly string[];
  readonly positions: readonly (readonly (readonly number[])[])[];
}

/** The view of a turn; it reads the positions back when it is asked to. */
export function createKeptView(turn: Turn): KeptView {
  let state: ChatState | undefined;
  let reading: Reading | undefined;
  let shownFor = "";
  let filter: KeptFilter = { layer: undefined, head: undefined };
  const tokens = new ZigTokens();
  const verdict = el("p", { class: "needle-verdict", role: "status" });
  const layerPlace = el("div", {});
  const headPlace = el("div", {});
  let isWanted = turn.needle !== undefined;
  const show = button("Show what the cache kept", () => {
    isWanted = true;
    void read();
  });
  const body = el(
    "div",
    { class: "kept-body" },
    el("div", { class: "kept-pickers" }, layerPlace, headPlace),
    tokens,
  );
  const element = el(
    "section",
    { class: "kept", "aria-label": "Kept tokens" },
    verdict,
    show,
    body,
  );

  const draw = (): void => {
    if (reading === undefined) return;
    const { texts, positions } = reading;
    tokens.data = keptTokens(texts, positions, filter, turn.needle?.fact);
    if (turn.needle === undefined) return;
    const all = keptTokens(
      texts,
      positions,
      { layer: undefined, head: undefined },
      turn.needle.fact,
    );
    setText(
      verdict,
      needleVerdict(turn, turn.needle.answer, shareKept(all), state?.settings.policy),
    );
  };

  const pickers = (layers: number, heads: number): void => {
    const numbers = (count: number): readonly (readonly [string, string])[] => [
      ["all", "all"],
      ...Array.from({ length: count }, (_, i) => [`${i}`, `${i}`] as const),
    ];
    const pick = (name: keyof KeptFilter, value: string): void => {
      filter = { ...filter, [name]: value === "all" ? undefined : Number(value) };
      draw();
    };
    const layer = selectField("Layer", numbers(layers), (value) => pick("layer", value));
    const head = selectField("KV head", numbers(heads), (value) => pick("head", value));
    layerPlace.replaceChildren(layer.element);
    headPlace.replaceChildren(head.element);
  };

  async function read(): Promise<void> {
    if (state?.model.step !== "ready") return;
    const { engine } = state.model;
    const key = keyOf(turn, state);
    shownFor = key;
    const turns = state.turns.slice(0, state.turns.indexOf(turn) + 1);
    try {
      const [preview, positions] = await Promise.all([
        engine.previewPrompt(toMessages(turns, state.settings.systemPrompt)),
        engine.keptPositions(),
      ]);
      if (shownFor !== key) return;
      if (reading === undefined) pickers(positions.length, positions[0]?.length ?? 0);
      reading = { texts: preview.texts, positions };
      draw();
      const hadFocus = document.activeElement === show;
      setHidden(body, false);
      setHidden(show, true);
      if (hadFocus) layerPlace.querySelector("select")?.focus();
    } catch {
      // The engine answers again already, or is being saved: what it keeps is read when that is over.
      shownFor = "";
    }
  }

  setHidden(body, true);
  return {
    element,
    render(now, isCurrent) {
      state = now;
      const isHeld = now.held?.turnId === turn.id && now.model.step === "ready";
      const isThere = isCurrent && isHeld && turn.state === "done";
      setHidden(element, !isThere);
      if (!isThere) return;
      const holds = now.model.step === "ready" && now.model.engine.memory().kv.tokens > 0;
      if (isWanted && holds && shownFor !== keyOf(turn, now)) void read();
      setHidden(show, !body.hidden);
    },
  };
}

/** Changes whenever the cache may keep something else. */
function keyOf(turn: Turn, state: ChatState): string {
  const { allocated = 0, peak = 0 } = turn.cache?.kv ?? {};
  const compared = state.comparison?.state;
  return [turn.attempt, turn.answer.length, allocated, peak, state.turns.length, compared].join(
    " ",
  );
}
