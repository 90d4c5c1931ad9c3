import { loadavg } from "node:os";
import { type PeerMessage, type PeerRequest, writeMessage } from "./protocol.ts";

/** Answers a prompt greedily with exactly `newTokens` tokens, and tells each token when it has it. */
export type Answer = (
  promptIds: readonly number[],
  newTokens: number,
  onToken: (id: number) => void,
) => Promise<void>;

/** Times a peer's answers, each prompt after a warm-up of two tokens, and writes one message per run. */
export async function timeAnswers(
  { prompts, newTokens, runs }: PeerRequest,
  answer: Answer,
  write: (message: PeerMessage) => void = writeMessage,
): Promise<void> {
  for (const promptIds of prompts) {
    await answer(promptIds, 2, () => {});
    for (let run = 0; run < runs; run++) {
      const tokenIds: number[] = [];
      let first: number | undefined;
      let last = 0;
      const start = performance.now();
      await answer(promptIds, newTokens, (id) => {
        tokenIds.push(id);
        last = performance.now();
        first ??= last;
      });
      if (first === undefined) throw new Error("the answer has no token");
      write({
        promptTokens: promptIds.length,
        prefillSeconds: (first - start) / 1000,
        decodeSeconds: (last - first) / 1000,
        tokenIds,
        load: loadavg()[0] as number,
      });
    }
  }
}
