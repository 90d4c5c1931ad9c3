// Bins of equal width in logits, from the largest logit down: the first digit of the radix select,
// spread evenly where the bits of a float would put nearly everything into a few bins. Further down
// than BINS * BIN_NATS tokens have no weight: 2^18 of them hold under 4e-9 of the best one's.
// The kernel declares the param bins_per_logit.

#import order_key

const BINS: u32 = 1024u;
const BIN_NATS: f32 = 0.03125; // width of a bin, in logits divided by the temperature
const EXCESS_ONE: f32 = 262144.0; // 2^18: the excess of 2^18 tokens fits in 32 bits

// How many bins below the maximum, with a fraction.
fn depth4(keys: vec4<u32>, maximum: f32) -> vec4<f32> {
    return (maximum - key_logit4(keys)) * params.bins_per_logit;
}

fn bin4(depth: vec4<f32>) -> vec4<u32> {
    return min(vec4<u32>(depth), vec4<u32>(BINS - 1u));
}

// A weight in units of the least one in its bin, less 1, as an integer: so integer counters can sum
// weights, in any order with the same result, to 2^-19 of each. exp(x) - 1 for x <= BIN_NATS.
fn excess4(depth: vec4<f32>, bin: vec4<u32>) -> vec4<u32> {
    let x = (vec4<f32>(bin) + 1.0 - depth) * BIN_NATS;
    let e = x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0))));
    return vec4<u32>(e * EXCESS_ONE + 0.5);
}

// The least weight in a bin, in units of the best token's.
fn bin_weight(bin: u32) -> f32 {
    return exp(-f32(bin + 1u) * BIN_NATS);
}
