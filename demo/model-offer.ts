import { openUrlSource } from "../src/index.ts";
import type { ChatState, KeptCopy } from "./chat-state.ts";
import { dropKept, listKept } from "./kept-models.ts";
import { describeLoadProblem } from "./problem.ts";

/** What is known of the model that the page offers first. */
export interface ModelOffer {
  /** Ask this device and the server about it. */
  look(): Promise<void>;
  /** What this device has of it. */
  lookForKept(): Promise<void>;
  /** Delete a copy that is kept on this device. */
  dropKept(url: string): Promise<void>;
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
      // Without storage there is nothing to find, and nothing to say.
      const all = await listKept().catch(() => []);
      const isOffered = ({ url }: KeptCopy): boolean => isElsewhere && url === source.href;
      const others = all.filter((copy) => !isOffered(copy));
      update({ offer: { ...state.offer, kept: all.find(isOffered), others } });
    },

    async dropKept(url) {
      await dropKept(url);
      await offer.lookForKept();
    },
  };
  return offer;
}
