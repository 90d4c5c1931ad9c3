// token_logprobs: the log-probabilities of the token that a step chose, and of the best ones.
//
//   logprob(id) = logits[id] - log(sum over i of exp(logits[i]))
//   row = (state.step - 1) % ring: the step that has just ended
//   logprobs[row] = logprob(state.token), then (id, logprob(id)) of the `top` best logits, from the
//   best on, ties to the lower id; ids from vocab_size on stand for none
//
// The best parts hold the best logits: `top` of them, in as many rounds of choosing the next best;
// then the same among their logits. The sum leaves out the largest logit, as in logprobs.
// Nothing is promised for logits that are not finite or -inf: such a step chose no token.
// One workgroup does it all.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/token_logprobs.ts

#import best_of
#import log_sum
#import logit_parts
#import order_key
#import state

override WORKGROUP_SIZE: u32 = 256u;

struct Params {
    vocab_size: u32,
    top: u32, // 0 to MAX_TOP
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4<u32>>; // (vocab_size / 4) f32 bits
@group(0) @binding(2) var<storage, read> partials: array<vec2<u32>>; // (parts) key, id
@group(0) @binding(3) var<storage, read> sums: array<f32>; // (parts)
@group(0) @binding(4) var<storage, read> state: array<u32>; // (16)
@group(0) @binding(5) var<storage, read_write> logprobs: array<u32>; // (ring, ROW_WORDS)

const MAX_TOP: u32 = 20u;
const ROW_WORDS: u32 = 1u + 2u * MAX_TOP;
const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);
const NONE: vec2<u32> = vec2<u32>(KEY_NONE, 0xffffffffu);
const BEFORE_ALL: vec2<u32> = vec2<u32>(0xffffffffu, 0u);

var<workgroup> sh_last: vec2<u32>; // key, id
var<workgroup> sh_parts: array<u32, MAX_TOP>;
var<workgroup> sh_best_ids: array<vec2<u32>, MAX_TOP>; // key, id
var<workgroup> sh_log_sum: f32;

// The better of `best` and what comes after `last` in the order from the best on.
fn next_best(best: vec2<u32>, found: vec2<u32>, last: vec2<u32>) -> vec2<u32> {
    let is_after = found.x < last.x || (found.x == last.x && found.y > last.y);
    return better_of(best, select(NONE, found, is_after));
}

fn next_part(local: u32, last: vec2<u32>) -> vec2<u32> {
    var best = NONE;
    for (var i = local; i < arrayLength(&partials); i += WORKGROUP_SIZE) {
        best = next_best(best, partials[i], last);
    }
    return best;
}

fn next_logit(local: u32, last: vec2<u32>) -> vec2<u32> {
    var best = NONE;
    for (var v = local; v < params.top * PART_VEC4S; v += WORKGROUP_SIZE) {
        let i = part_vector(sh_parts[v / PART_VEC4S], v % PART_VEC4S);
        if (4u * i < params.vocab_size) {
            let is_there = 4u * i + LANES < vec4<u32>(params.vocab_size);
            let found = select(vec4<u32>(KEY_NONE), order_key4(logits[i]), is_there);
#unroll c 0 4
            best = next_best(best, vec2<u32>(found[$c], 4u * i + $c), last);
#end
        }
    }
    return best;
}

// The weight of all tokens but the best one, in units of that one's.
fn others(local: u32, maximum: vec2<u32>) -> f32 {
    let m = key_logit4(vec4<u32>(maximum.x)).x;
    var sum = 0.0;
    for (var i = local; i < arrayLength(&partials); i += WORKGROUP_SIZE) {
        let best = partials[i];
        let weight = exp(key_logit4(vec4<u32>(best.x)).x - m);
        let of_part = select(weight + weight * sums[i], sums[i], best.y == maximum.y);
        sum += select(0.0, of_part, best.x > KEY_NEGATIVE_INFINITY);
    }
    return workgroup_sum(local, sum);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let part_rounds = max(params.top, 1u); // the first one finds the maximum
    var last = BEFORE_ALL;
    var maximum = NONE;
    // One loop for parts and logits: CPU adapters take long to compile a second copy of barriers.
    for (var round = 0u; round < part_rounds + params.top; round += 1u) {
        let by_part = round < part_rounds;
        if (round == part_rounds) {
            last = BEFORE_ALL;
        }
        var mine = NONE;
        if (by_part) {
            mine = next_part(local, last);
        } else {
            mine = next_logit(local, last);
        }
        let best = workgroup_best(local, mine);
        if (local == 0u) {
            sh_last = best;
            if (by_part) {
                sh_parts[round] = part_of(best.y);
            } else {
                sh_best_ids[round - part_rounds] = best;
            }
        }
        last = workgroupUniformLoad(&sh_last);
        if (round == 0u) {
            maximum = last;
        }
    }
    let sum = others(local, maximum);
    if (local == 0u) {
        sh_log_sum = log_one_plus(sum);
    }
    let log_sum = workgroupUniformLoad(&sh_log_sum);

    let m = key_logit4(vec4<u32>(maximum.x)).x;
    let row = (state[STATE_STEP] - 1u) % (arrayLength(&logprobs) / ROW_WORDS) * ROW_WORDS;
    if (local < params.top) {
        let best = sh_best_ids[local];
        let difference = key_logit4(vec4<u32>(best.x)).x - m;
        logprobs[row + 1u + 2u * local] = best.y;
        logprobs[row + 2u + 2u * local] = bitcast<u32>(difference - log_sum);
    }
    if (local == 0u) {
        let token = state[STATE_TOKEN];
        let logit = bitcast<f32>(logits[token / 4u][token % 4u]);
        logprobs[row] = bitcast<u32>((logit - m) - log_sum);
    }
}
