export const TOKEN_SKIPPED = 0xffffffff;
export const TOKEN_UNSOUND = 0xfffffffe;

/** Everything that the end of a step changes. */
export interface StepState {
  token: number;
  position: number;
  step: number;
  done: boolean;
  lengths: number[];
  tokens: number[];
  seen: Set<number>;
}

/** The end of a step: `chosen` is a token id or TOKEN_UNSOUND; `advance` is 1 in decode. */
export function finishStep(
  state: StepState,
  chosen: number,
  stopIds: readonly number[],
  advance: 0 | 1,
): void {
  state.tokens[state.step % state.tokens.length] = state.done ? TOKEN_SKIPPED : chosen;
  state.step++;
  if (state.done) return;
  state.position += advance;
  state.lengths = state.lengths.map((length) => length + advance);
  if (chosen === TOKEN_UNSOUND) {
    state.done = true;
  } else {
    state.token = chosen;
    state.seen.add(chosen);
    state.done = stopIds.includes(chosen);
  }
}
