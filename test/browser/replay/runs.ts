/** What is done over again: SmolLM2's shape, a prompt, an answer of many pieces. */
export interface ReplayedRun {
  /** Undefined: as many as the prompt has words. */
  readonly promptTokens?: number;
  readonly readPerSecond: number;
  readonly writePerSecond: number;
  /** Where the caller doesn't want fewer. */
  readonly answerTokens: number;
}

/** A document and a long answer at a good GPU's speed. */
export const LONG_RUN = {
  promptTokens: 3000,
  readPerSecond: 3000,
  writePerSecond: 200,
  answerTokens: 800,
} as const satisfies ReplayedRun;

/** So slow that no state of an answer is missed, and so long that each answer is stopped or limited. */
export const SHORT_TURNS: ReplayedRun = {
  readPerSecond: 1000,
  writePerSecond: 50,
  answerTokens: 2000,
};
