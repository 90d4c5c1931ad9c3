import { openUrlSource } from "../src/index.ts";
import type { ChatState } from "./chat-state.ts";
import { dropKept, findKept } from "./kept-models.ts";
import { describeLoadProblem } from "./problem.ts";

/** What is known of the model that the page offers first. */
export interface ModelOffer {
  /** Ask this device and the server about it. */
  look(): Promise<void>;
  /** What this device has of it. */
  lookForKept(): Promise<void>;
  /** Delete the copy that is kept on this device. */
  dropKept(): Promise<void>;
}

/** @param update changes the state and lets it be shown */
export function createModelOffer(
  state: ChatState,
  update: (patch: Partial<ChatState>) => void,
): ModelOffer {
  const { source } = state.offer.choice;
  const isElsewhere = source instanceof URL;

  const offer: ModelOffer = {
    async look() {
      if (!isElsewhere) return;
      await offer.lookForKept();
      try {
        const { size } = await openUrlSource(source);
        update({ offer: { ...state.offer, bytes: size } });
      } catch (error) {
        update({ offer: { ...state.offer, missing: describeLoadProblem(error).happened } });
      }
    },

    async lookForKept() {
      if (!isElsewhere) return;
      // Without storage there is nothing to find, and nothing to say.
      const kept = await findKept(source).catch(() => undefined);
      update({ offer: { ...state.offer, kept } });
    },

    async dropKept() {
      if (isElsewhere) await dropKept(source);
      await offer.lookForKept();
    },
  };
  return offer;
}
