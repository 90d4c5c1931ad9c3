/** Minus the squared norm of each key, `[KV head][candidate]`. */
export function scoreKeynorm(keys: readonly (readonly ArrayLike<number>[])[]): number[][] {
  return keys.map((candidates) =>
    candidates.map((key) => -Array.from(key).reduce((sum, x) => sum + x * x, 0)),
  );
}
