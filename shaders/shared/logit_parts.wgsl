// How the vocabulary is shared out among the invocations of logprob_partial: a part is PART_VEC4S
// vectors of four logits, PART_LANES vectors apart.

const PART_LANES: u32 = 64u; // invocations of a workgroup
const PART_VEC4S: u32 = 16u;

// The vector of four logits that is number `n` of a part.
fn part_vector(part: u32, n: u32) -> u32 {
    return (part / PART_LANES * PART_VEC4S + n) * PART_LANES + part % PART_LANES;
}

fn part_of(id: u32) -> u32 {
    let vector = id / 4u;
    return vector / (PART_VEC4S * PART_LANES) * PART_LANES + vector % PART_LANES;
}
