/** A turn of a sample: question and answer are our own words. */
export interface SampleTurn {
  readonly question: string;
  readonly answer: string;
}

/** A long talk: facts that a later question asks for lie in its first turns. */
export const LIBRARY_CHAT: readonly SampleTurn[] = [
  {
    question:
      "We want to open a small library in the old customs house by the harbour. What should we settle first?",
    answer:
      "Three things, in this order: the room, the hours and the key.\n\nThe room first. The customs house has a hall of about sixty square metres and two store rooms behind it. Books are heavy: a full shelf of one metre weighs around thirty kilos, so have a carpenter look at the floor before anything is carried in. The store room that faces the water is damp in winter and should hold chairs, not books.\n\nThen the hours. A library that is open seldom, but always at the same time, is used more than one that is open often and changes its mind. For a harbour village I would begin with Tuesday and Saturday.\n\nLast the key. Somebody has to hold it who lives near and is known to everyone. Write the name on the door.",
  },
  {
    question:
      "The carpenter says the floor will hold. Let us say Tuesday from four to seven, and Saturday from nine to noon. Mrs Okafor from the bakery would keep the key.",
    answer:
      "Good, that is settled: **Tuesday from four to seven, Saturday from nine to noon, and Mrs Okafor of the bakery holds the key.** A bakery is a fine place for it, since it opens before everything else.\n\nTwo small matters follow from it. The Saturday hours fall together with the fish market, so people will come with wet hands and baskets: put a bench and a row of hooks outside the door. And on Tuesdays it is dark by five for four months of the year, so the lamp over the steps, which the harbour master says has been broken since spring, should be mended before you open.",
  },
  {
    question: "How many books do we need, and where do they come from?",
    answer:
      "Fewer than one thinks. Twelve hundred are enough to begin with, if they are chosen: about four hundred for children, three hundred novels, two hundred on the sea, boats, weather and fish, a hundred on gardens and cooking, and the rest whatever people bring.\n\nThey come from three places. The town library at Ferrisholm sorts out some two thousand books each autumn and gives them to whoever fetches them; ask for a van in the second week of October. The school has nine boxes in its attic. And everyone has a shelf at home that they would gladly see emptied, as long as you may say no: put up a sign that you take ten books from each house and no encyclopaedias.",
  },
  {
    question: "What about money? The parish gives us 2,400 a year, and nothing more.",
    answer:
      "Then plan for 2,400 and be glad of anything beyond it.\n\n- Heating is the largest part: about 900, if you heat only on the two days and close the door to the damp store room.\n- Insurance for the contents costs 240.\n- Shelves are paid once. The carpenter's price for forty metres was 1,100, so build twenty this year and twenty the next.\n- New books: put aside 500 a year from the start, even if it hurts. A library into which nothing new comes is a store room.\n- The remaining 210 go into lamps, cards, tea and what nobody has thought of.\n\nCharge nothing for lending. A fine for late books brings in less than it costs in good will.",
  },
  {
    question: "And how do we keep track of who has what, without a computer?",
    answer:
      "With cards, as it was done for a hundred years. Every book has a pocket in the back cover, and in it a card with its title. Whoever borrows it writes a name and the date on the card and puts it into a wooden box, ordered by week. When the book comes back, the card goes back into its pocket.\n\nIt takes half a minute for each book, and the box tells you three things at a glance: what is out, who has it, and for how long. Look through it on the first Saturday of each month, and send a friendly note for whatever is out longer than six weeks. Two volunteers for each opening are enough; five in all, so that one can be ill and one can be at sea.",
  },
];
