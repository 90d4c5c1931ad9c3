// logprobs: the natural log-probability of one token of each row of logits.
//
//   logprobs[first_row + r] = logits[r, t] - log(sum over i of exp(logits[r, i])),
//   t = targets[first_row + r];
//   NaN if the row holds NaN or +inf, or nothing but -inf
//
// The sum leaves out the largest logit m and is taken of exp(logit - m), so that with log(1 + sum)
// the result keeps its relative precision where one token is nearly certain.
// One workgroup takes one row.
// Dispatch: (rows, 1, 1).
// CPU twin: test/reference/logprobs.ts

#import best_of
#import log_sum
#import order_key

override WORKGROUP_SIZE: u32 = 256u;

struct Params {
    vocab_size: u32,
    first_row: u32, // index in targets and logprobs of the first row of logits
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // (rows, vocab_size)
@group(0) @binding(2) var<storage, read> targets: array<u32>; // (all rows)
@group(0) @binding(3) var<storage, read_write> logprobs: array<u32>; // (all rows) f32 bits

const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> sh_maximum: vec2<u32>; // key, id

// Four logits, WORKGROUP_SIZE apart: scalar loads, as a row need not begin at a multiple of four.
fn load4(row: u32, ids: vec4<u32>) -> vec4<f32> {
    let at = row * params.vocab_size + min(ids, vec4<u32>(params.vocab_size - 1u));
    return vec4<f32>(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_id) local_id: vec3<u32>,
    @builtin(workgroup_id) wg_id: vec3<u32>,
) {
    let local = local_id.x;
    let row = wg_id.x;
    let first = local + WORKGROUP_SIZE * LANES;
    var best = vec4<u32>(KEY_NONE);
    var best_at = vec4<u32>(0u);
    for (var i = 0u; i < params.vocab_size; i += 4u * WORKGROUP_SIZE) {
        let ids = i + first;
        let found = select(vec4<u32>(KEY_NONE), order_key4(bitcast<vec4<u32>>(load4(row, ids))),
            ids < vec4<u32>(params.vocab_size));
        let is_better = found > best;
        best = select(best, found, is_better);
        best_at = select(best_at, ids, is_better);
    }
    var mine = vec2<u32>(best.x, best_at.x);
#unroll c 1 4
    mine = better_of(mine, vec2<u32>(best[$c], best_at[$c]));
#end
    let maximum_of_all = workgroup_best(local, mine);
    if (local == 0u) {
        sh_maximum = maximum_of_all;
    }
    let maximum = workgroupUniformLoad(&sh_maximum);

    let m = key_logit4(vec4<u32>(maximum.x)).x;
    var sums = vec4<f32>(0.0);
    for (var i = 0u; i < params.vocab_size; i += 4u * WORKGROUP_SIZE) {
        let ids = i + first;
        let is_term = (ids < vec4<u32>(params.vocab_size)) & (ids != vec4<u32>(maximum.y));
        sums += select(vec4<f32>(0.0), exp(load4(row, ids) - m), is_term);
    }
    let sum = workgroup_sum(local, (sums.x + sums.y) + (sums.z + sums.w));
    if (local == 0u) {
        let t = params.first_row + row;
        let difference = logits[row * params.vocab_size + targets[t]] - m;
        let logprob = bitcast<u32>(difference - log_one_plus(sum));
        logprobs[t] = select(0x7fc00000u, logprob, is_sound_maximum(maximum.x));
    }
}
