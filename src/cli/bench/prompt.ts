import type { Tokenizer } from "../../text/tokenizer.ts";

/** Written for this; long enough that 256 tokens of it don't repeat themselves. */
const TEXT = `The lighthouse keeper's log for the autumn of that year is short, and most of it is about the weather.
On the third of October the wind turned to the north-west and the glass fell by eleven points in one afternoon. By six
o'clock the spray reached the gallery, ninety feet above the rocks, and the lamp had to be cleaned every half hour. The
supply boat, which should have brought flour, oil and letters, was seen from the tower at noon, tried the landing twice,
and went back to the mainland. Nobody on the island was much surprised. There were potatoes in the cellar for another
month, and the two families had got used to counting candles. What the keeper did not write down, and what we know only
from his daughter's memoirs, is that he spent those evenings building a clock out of driftwood and the works of a broken
barometer. It had one hand and told the time of high water, which was the only time that mattered there; it ran eleven
minutes fast each week, and every Sunday after breakfast he set it right again with the edge of a coin. When the boat
came at last, on the nineteenth, the first thing that the skipper asked was whether they had been afraid. The daughter
says that her mother laughed and answered that there had been no time for that: with three children, a goat and a clock
made of rubbish in the kitchen, one storm more or less was not worth a line in the book.

`;

/** The first `count` token ids of a text that is repeated as often as needed, the BOS token among them. */
export function promptIds(tokenizer: Tokenizer, count: number): number[] {
  const { addBos, bosTokenId } = tokenizer;
  const ids = addBos && bosTokenId !== undefined ? [bosTokenId] : [];
  const text = tokenizer.encode(TEXT);
  if (text.length === 0) throw new Error("the vocabulary has no token for an English text");
  while (ids.length < count) ids.push(...text);
  return ids.slice(0, count);
}
