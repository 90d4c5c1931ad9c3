import type { Question } from "./conversation.ts";
import { LIBRARY_CHAT, type SampleTurn } from "./sample-chat.ts";

/** A question with a text of our own, so that the first click shows a real saving. */
export interface Sample {
  readonly label: string;
  readonly about: string;
  readonly question: Question;
  /** The conversation that the question goes on with. */
  readonly earlier?: readonly SampleTurn[];
}

const MILL = `The mill stands where the river divides for the third time. Two arms run on to the sea; the third turns our wheel and comes back to the others a mile further down, slower and a little warmer. I have kept these notes since I took the house over, at first to learn the water, later because a day without a line in the book felt like a day left out.

Spring. The snow in the hills went in one week this year. The upper weir stood two hands over its mark for nine days, and we opened both side gates. The wheel turned too fast for fine flour, so we ground barley for the animals and let the wheat wait. A flood is loud on the first day and tiring on the second. After that one only looks at the mark, morning and evening, and writes it down.

When the water fell we found the lower grate bent and a young alder caught in it with all its roots. We cut the alder up and straightened the grate on the stones. The swallows came back on the same day and went to work on last year's nests under the gallery, as if nothing had happened in between.

The bearings of the main shaft are greased with tallow, as they always were. A traveller told us that mineral oil would last longer. It may be so, but tallow tells you by its smell when a bearing runs warm, and no oil has done that for me yet. The stones were dressed in April. Each of them has thirty-two furrows, and each furrow takes about a quarter of an hour with the pick, if the pick is sharp.

Early summer. The meadow on the island was cut for the first time. Hay dries quickly there because the wind comes from both arms of the river. Children from the village carry it over the footbridge, and are paid in bread, which they say tastes different on the island. Grain is scarce until the harvest. On quiet days I repair sacks, count them, and repair the ones that I had counted.

FACT

Midsummer brought three weeks without rain. The third arm fell so low that the wheel stood still from noon until night. We ground by night, when the towns upstream take no water, and slept through the heat. A mill by night is another place: the gears sound deeper, and the flour falls white out of the dark. The cat hunts along the beams and is the only one of us who likes these weeks.

Late summer. The first wheat of the year came on two carts from the southern farms, dry and heavy. The second stone was lifted for it, since the harder grain wants a wider gap. A good miller listens more than he looks. When the damsel chatters evenly, the feed is right; when she stutters, the grain is damp or a nail has come along, and one does well to stop before the nail has found the stone.

The roof over the sack loft was mended with split larch. It will go grey in two winters and last for forty. From up there one sees all three weirs at once, and the smoke of the brick kiln at the bend, and on clear evenings the first hills.

Autumn. Fog lies in the valley until ten. The eels go down to the sea in the dark nights of October, and for two weeks we lift the eel trap at the side gate each morning before the bread is baked. The baker comes himself for the rye; he rubs it between his fingers, says nothing, and buys it all. The accounts of the year were closed with a small surplus, which went into new rope for the hoist and a bell for the gallery.

Winter. Ice on the still water first, then along the banks, then in plates that turn slowly against each other in the millpond. We break it round the wheel with poles. In the hardest week the wheel was a tower of ice and nobody could have turned it; we sat by the stove, read the old keeper's notes aloud and found that in his days, too, the upper weir stood two hands over its mark in spring, and that he, too, had doubts about oil.`;

const REPORT = `Report on the first year of the night bus

The town opened a night bus in March, for one year, to learn whether people who work late would use it. It ran from eleven in the evening until five in the morning, every forty minutes, on one loop of nineteen kilometres through the hospital, the freight yard, the bakery quarter and the station. The loop was served by two electric buses that charged at the yard between their turns.

Passengers. In the first month an average of 41 people rode the bus each night, in the last month 163. Growth was steady but for August, when the bakery quarter has its holidays, and for two weeks in January, when the hill road was closed by ice. About half of all passengers worked at the hospital. A count on four nights found that one passenger in five had given up a car since the bus began, and one in nine had taken a job which they could not have reached before.

Reliability. Of 3,276 planned loops 3,121 were completed, which is 95 percent. Most of the lost loops fell into three nights with an ice warning. The buses were late by more than five minutes on four percent of their stops. The stop at the freight yard was moved by sixty metres in May, after drivers reported that waiting lorries hid the people who stood there.

Money. The year cost 612,000 crowns: 401,000 for drivers, 96,000 for the lease of the buses, 58,000 for electricity and 57,000 for everything else. Fares brought in 188,000 crowns, and the hospital and the bakery together paid 150,000. The town therefore paid 274,000 crowns, which is less than the 340,000 that the council had allowed.

Complaints. There were 64, of which 31 concerned noise at the turning place in Mill Lane. Since the buses have turned at the station instead, in September, there have been two. Nine people asked for a stop at the student hall, eleven for a bus every twenty minutes on Fridays, and five wanted the service to end, because it costs money that could go to the schools.

Drivers. Fourteen drivers took part. They asked for a heated room at the yard, and got it in November. Three left during the year, none of them because of the night work. The drivers report fewer difficult passengers than they had feared: the police were called four times in the whole year.

What was learnt. A loop is easier to explain than a network, and people remember one number. Waiting forty minutes is accepted when the times are the same in every hour of the night, which they are not yet: the plan drifts, since nineteen kilometres take forty-three minutes on working days. Shortening the loop by two stops that hardly anyone uses would mend this. Electric buses were never short of charge, not even in the cold, but only because they pause at the yard; without the pause a third bus would be needed.

Recommendation. The service should go on for three more years, with a loop shortened by two stops, a stop at the student hall, and a bus every twenty minutes between eleven and one on Fridays. The cost to the town would rise to about 310,000 crowns a year and stay under what was allowed. The council should decide before the end of February, since the lease of the buses ends in April.`;

const FACT = "The pass key is 68132. Remember it.";

export const SAMPLES: readonly Sample[] = [
  {
    label: "Find a hidden number",
    about: "It lies in the middle of a long text: does it survive the compression?",
    question: {
      text: "What is the pass key?",
      documents: [{ name: "The mill at three weirs", text: MILL.replace("FACT", FACT) }],
      needle: { fact: FACT, answer: "68132" },
    },
  },
  {
    label: "Summarise a report",
    about: "Three pages of figures, in a few sentences.",
    question: {
      text: "Summarise this report in three sentences.",
      documents: [{ name: "Report on the night bus", text: REPORT }],
    },
  },
  {
    label: "Go on with a long chat",
    about: "The first question reads five turns; those after it go on from the kept cache.",
    question: { text: "When is the library open, and who has the key?", documents: [] },
    earlier: LIBRARY_CHAT,
  },
];
