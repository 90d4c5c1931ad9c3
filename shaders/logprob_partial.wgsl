// logprob_partial: the best logit of each part of the vocabulary, and the weight of the others.
//
//   partials[i] = (key, id) of the best logit of part i; ties to the lower id
//   sums[i] = sum of exp(logit - best) over the others of part i
//
// One invocation takes one part: see logit_parts. No barriers. The first half of token_logprobs.
// Arrays of vocab_size / n words are rounded up.
// Dispatch: (ceil(vocab_size / (4 * PART_VEC4S * PART_LANES)), 1, 1).
// CPU twin: test/reference/token_logprobs.ts

#import logit_parts
#import order_key

struct Params {
    vocab_size: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4<u32>>; // (vocab_size / 4) f32 bits
@group(0) @binding(2) var<storage, read_write> partials: array<vec2<u32>>; // (parts)
@group(0) @binding(3) var<storage, read_write> sums: array<f32>; // (parts)

const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

@compute @workgroup_size(PART_LANES)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let part = global_id.x;
    let vocab_size = vec4<u32>(params.vocab_size);
    let end = (params.vocab_size + 3u) / 4u;
    var best = vec2<u32>(KEY_NONE, 0xffffffffu);
    for (var n = 0u; n < PART_VEC4S; n += 1u) {
        let i = part_vector(part, n);
        if (i < end) {
            let is_there = 4u * i + LANES < vocab_size;
            let found = select(vec4<u32>(KEY_NONE), order_key4(logits[i]), is_there);
#unroll c 0 4
            if (found[$c] > best.x) { // ids rise within a part
                best = vec2<u32>(found[$c], 4u * i + $c);
            }
#end
        }
    }
    let maximum = key_logit4(vec4<u32>(best.x)).x;
    var sum = vec4<f32>(0.0);
    if (is_sound_maximum(best.x)) {
        for (var n = 0u; n < PART_VEC4S; n += 1u) {
            let i = part_vector(part, n);
            if (i < end) {
                let ids = 4u * i + LANES;
                let is_term = (ids < vocab_size) & (ids != vec4<u32>(best.y));
                let weights = exp(bitcast<vec4<f32>>(logits[i]) - maximum);
                sum += select(vec4<f32>(0.0), weights, is_term);
            }
        }
    }
    partials[part] = best;
    sums[part] = (sum.x + sum.y) + (sum.z + sum.w);
}
