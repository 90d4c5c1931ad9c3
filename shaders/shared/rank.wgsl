// Scores as integers that rank the same way, so that selecting is exact: see order_key. A score that
// is no number ranks lowest.

#import order_key

// Above every score that is computed.
const SCORE_ALWAYS: f32 = 3.0e38;

fn rank_key(score_bits: u32) -> u32 {
    let key = order_key4(vec4<u32>(score_bits)).x;
    return select(key, 0u, key == KEY_NAN);
}
