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
var<workgroup> sh_sum: array<f32, WORKGROUP_SIZE>;
var<workgroup> sh_group_sum: array<f32, BEST_GROUPS>;

// Four logits, WORKGROUP_SIZE apart: scalar loads, as a row need not begin at a multiple of four.
fn load4(row: u32, ids: vec4<u32>) -> vec4<f32> {
    let at = row * params.vocab_size + min(ids, vec4<u32>(params.vocab_size - 1u));
    return vec4<f32>(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
}

// The sum over the workgroup; invocation 0 gets it.
fn workgroup_sum(local: u32, mine: f32) -> f32 {
    sh_sum[local] = mine;
    workgroupBarrier();
    let size = WORKGROUP_SIZE / BEST_GROUPS;
    if (local < BEST_GROUPS) {
        var sum = 0.0;
        for (var i = 0u; i < size; i += 1u) {
            sum += sh_sum[local * size + i];
        }
        sh_group_sum[local] = sum;
    }
    workgroupBarrier();
    var sum = 0.0;
    if (local == 0u) {
        for (var i = 0u; i < BEST_GROUPS; i += 1u) {
            sum += sh_group_sum[i];
        }
    }
    return sum;
}

// log(1 + x) for x >= 0. Built-in log may be off by 2^-21 between 0.5 and 2; below 1 this is
// 2 atanh(x / (2 + x)) instead.
fn log_one_plus(x: f32) -> f32 {
    let z = x / (2.0 + x);
    let zz = z * z;
    let series = 2.0 * z * (1.0 + zz * (1.0 / 3.0 + zz * (1.0 / 5.0 + zz * (1.0 / 7.0
        + zz * (1.0 / 9.0 + zz * (1.0 / 11.0 + zz / 13.0))))));
    return select(log(1.0 + x), series, x < 1.0);
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
