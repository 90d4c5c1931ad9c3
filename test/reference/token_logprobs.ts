/** A token with its log-probability. */
export interface Scored {
  readonly id: number;
  readonly logprob: number;
}

/** log softmax, in f64, of the chosen token and of the `top` best ones, ties by id. */
export function tokenLogprobs(
  logits: Float32Array,
  chosen: number,
  top: number,
): { readonly chosen: number; readonly best: readonly Scored[] } {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const best = logits[ids[0]];
  const others = ids.slice(1).reduce((sum, id) => sum + Math.exp(logits[id] - best), 0);
  const logprob = (id: number): number => logits[id] - best - Math.log1p(others);
  const scored = ids.slice(0, top).map((id) => ({ id, logprob: logprob(id) }));
  return { chosen: logprob(chosen), best: scored };
}

/** The best logit of each part, (0, -1) for an empty one, and the others' weights in units of its. */
export function logitParts(
  logits: Float32Array,
  parts: number,
): { readonly ids: number[]; readonly sums: number[] } {
  const members = Array.from({ length: parts }, (): number[] => []);
  logits.forEach((_, id) => {
    const vector = Math.floor(id / 4);
    members[64 * Math.floor(vector / 1024) + (vector % 64)].push(id);
  });
  const best = members.map((ids) =>
    ids.reduce((found, id) => (found < 0 || logits[id] > logits[found] ? id : found), -1),
  );
  const sums = members.map((ids, part) =>
    ids.reduce((sum, id) => {
      const weight = Math.exp(logits[id] - logits[best[part]]);
      return id === best[part] ? sum : sum + weight;
    }, 0),
  );
  return { ids: best, sums };
}
