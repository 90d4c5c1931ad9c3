// argmax_partial: the best logit of each part of the vocabulary, the first half of every sampling.
//
//   logit[id] = logits[id], with KEYS: times inv_penalty if > 0, else times penalty, for seen ids;
//   with ADJUST (and KEYS): bias[id] is added before that, and after it goes
//   counts[id] * frequency_penalty, and presence_penalty if counts[id] > 0
//   partials[i] = (key, id) of the best logit of part i; ties to the lower id, NaN above all
//   keys[id] = key of logit[id] (KEYS only)
//
// A part is what one invocation takes: VEC4S vectors of four logits, WORKGROUP_SIZE vectors apart.
// No barriers. KEYS also clears the histogram for the kernels that follow.
// Arrays of vocab_size / n words are rounded up.
// Dispatch: (ceil(vocab_size / (4 * VEC4S * WORKGROUP_SIZE)), 1, 1).
// CPU twin: test/reference/argmax.ts

#import order_key

override WORKGROUP_SIZE: u32 = 64u;
override VEC4S: u32 = 16u;

struct Params {
    vocab_size: u32,
    penalty: f32, // of logits of seen tokens that are not positive
    inv_penalty: f32, // of the positive ones
#if ADJUST
    frequency_penalty: f32,
    presence_penalty: f32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4<u32>>; // (vocab_size / 4) f32 bits
#if KEYS
@group(0) @binding(2) var<storage, read> seen: array<u32>; // (vocab_size / 32) bits
#endif
#if ADJUST
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (vocab_size / 4)
@group(0) @binding(4) var<storage, read> counts: array<vec4<u32>>; // (vocab_size / 4) of the answer
#endif
@group(0) @binding(5) var<storage, read_write> partials: array<vec2<u32>>; // (invocations)
#if KEYS
@group(0) @binding(6) var<storage, read_write> keys: array<vec4<u32>>; // (vocab_size / 4)
@group(0) @binding(7) var<storage, read_write> histogram: array<u32>; // (2 * bins)
#endif

const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

fn load_keys(i: u32) -> vec4<u32> {
#if KEYS
    var logit = bitcast<vec4<f32>>(logits[i]);
#if ADJUST
    logit += bias[i];
#endif
    let bits = vec4<u32>(seen[i / 8u]) >> (LANES + 4u * (i % 8u));
    let is_seen = (bits & vec4<u32>(1u)) == vec4<u32>(1u);
    let is_positive = logit > vec4<f32>(0.0);
    let factor = select(vec4<f32>(params.penalty), vec4<f32>(params.inv_penalty), is_positive);
    logit = select(logit, logit * factor, is_seen);
#if ADJUST
    let count = vec4<f32>(counts[i]);
    logit -= count * params.frequency_penalty + min(count, vec4<f32>(1.0)) * params.presence_penalty;
#endif
    // Logits that are no numbers stay as they are: WGSL may take NaN for impossible.
    let is_number = (logits[i] & vec4<u32>(0x7f800000u)) != vec4<u32>(0x7f800000u);
    let found = order_key4(select(logits[i], bitcast<vec4<u32>>(logit), is_number));
#else
    let found = order_key4(logits[i]);
#endif
    return select(vec4<u32>(KEY_NONE), found, 4u * i + LANES < vec4<u32>(params.vocab_size));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(global_invocation_id) global_id: vec3<u32>,
    @builtin(local_invocation_id) local_id: vec3<u32>,
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_workgroups: vec3<u32>,
) {
    let first = wg_id.x * VEC4S * WORKGROUP_SIZE + local_id.x;
    let end = min(first + VEC4S * WORKGROUP_SIZE, (params.vocab_size + 3u) / 4u);
    // Each lane keeps its own best; ids rise within a lane, so only a larger key replaces it.
    var best = vec4<u32>(KEY_NONE);
    var best_at = vec4<u32>(0u);
    for (var i = first; i < end; i += WORKGROUP_SIZE) {
        let found = load_keys(i);
#if KEYS
        keys[i] = found;
#endif
        let is_better = found > best;
        best = select(best, found, is_better);
        best_at = select(best_at, vec4<u32>(i), is_better);
    }
    var result = vec2<u32>(KEY_NONE, 0xffffffffu);
#unroll c 0 4
    let id_$c = 4u * best_at[$c] + $c;
    if (best[$c] > result.x || (best[$c] == result.x && id_$c < result.y)) {
        result = vec2<u32>(best[$c], id_$c);
    }
#end
    partials[global_id.x] = result;
#if KEYS
    let invocations = num_workgroups.x * WORKGROUP_SIZE;
    for (var i = global_id.x; i < arrayLength(&histogram); i += invocations) {
        histogram[i] = 0u;
    }
#endif
}
