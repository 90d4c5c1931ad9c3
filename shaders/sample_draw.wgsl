// sample_draw: draw a token and end the step.
//
//   weight[id] = exp((logit[id] - max) / temperature) if kept, else 0; kept is what selection kept
//   and lies at most `range` below the best logit (min-p)
//   chosen = the first id at which the running sum of weights reaches random_unit(seed, step) of it
//   the end of the step as in argmax_step
//
// One workgroup does it all: each invocation sums the weights of a run of ids, then of a part of
// the run that holds the drawn point.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/sample.ts

#import best_partial
#import crossing
#import random
#import finish_step

override WORKGROUP_SIZE: u32 = 256u;

struct Params {
    inv_temperature: f32,
    range: f32, // logits
    use_selection: u32, // 0: top-k and top-p are off
    seed: u32,
    table_count: u32, // heads of all layers
    advance: u32, // rows that the forward before appended and nobody counted: 1 in decode, else 0
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>; // (parts) key, id
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>; // (vocab_size / 4)
@group(0) @binding(3) var<storage, read> selection: array<u32>; // key, id of the last token kept
@group(0) @binding(4) var<storage, read> stop_ids: array<u32>; // count, then so many ids
@group(0) @binding(5) var<storage, read_write> state: array<u32>; // (16)
@group(0) @binding(6) var<storage, read_write> table: array<vec4<u32>>; // (layers, KV heads)
@group(0) @binding(7) var<storage, read_write> tokens: array<u32>; // (ring)
@group(0) @binding(8) var<storage, read_write> seen: array<u32>; // (vocab_size / 32) bits

const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> sh_maximum: u32;
var<workgroup> sh_run: Crossing;

// What decides whether a token is kept.
struct Bounds {
    maximum: f32,
    lowest: u32, // key
    last_key: u32,
    last_id: u32,
}

fn weights4(i: u32, bounds: Bounds) -> vec4<f32> {
    let found = keys[i];
    let is_kept = (found > vec4<u32>(bounds.last_key))
        | ((found == vec4<u32>(bounds.last_key)) & (4u * i + LANES <= vec4<u32>(bounds.last_id)));
    let weights = exp((key_logit4(found) - bounds.maximum) * params.inv_temperature);
    return select(vec4<f32>(0.0), weights, is_kept & (found >= vec4<u32>(bounds.lowest)));
}

fn run_weight(first: u32, end: u32, bounds: Bounds) -> vec2<f32> {
    var sum = vec4<f32>(0.0);
    for (var i = first; i < end; i += 1u) {
        sum += weights4(i, bounds);
    }
    return vec2<f32>(0.0, (sum.x + sum.y) + (sum.z + sum.w));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let was_done = state[STATE_DONE] != 0u;
    let best = best_partial(local);
    if (local == 0u) {
        sh_maximum = best.x;
    }
    let maximum_key = workgroupUniformLoad(&sh_maximum);
    let maximum = key_logit4(vec4<u32>(maximum_key)).x;
    var bounds = Bounds(maximum, order_key(maximum - params.range), KEY_NONE, 0u);
    if (params.use_selection != 0u) {
        bounds.last_key = selection[0];
        bounds.last_id = selection[1];
    }

    // Narrow down the run of vectors of four that holds the drawn point, to one vector.
    var begin = 0u;
    var end = arrayLength(&keys);
    var size = (end + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE; // of an invocation's share
    var above = 0.0;
    var goal = -1.0; // of invocation 0
    var is_open = true;
    while (is_open) {
        let first = begin + local * size;
        share_sums(local, run_weight(first, min(first + size, end), bounds));
        if (local == 0u) {
            if (goal < 0.0) {
                goal = random_unit(params.seed, state[STATE_STEP]) * total_sum(local).y;
            }
            sh_run = find_crossing(local, vec2<f32>(0.0, above), true, goal);
        }
        let run = workgroupUniformLoad(&sh_run);
        begin += run.at * size;
        end = min(begin + size, end);
        above = run.above.y;
        is_open = size > 1u;
        size = (size + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
    }
    if (local == 0u) {
        var running = vec2<f32>(0.0, above);
        var found = Crossing(0u, 0u, running);
        let weights = weights4(begin, bounds);
#unroll c 0 4
        try_crossing(&found, &running, 4u * begin + $c, vec2<f32>(0.0, weights[$c]), true, goal);
#end
        finish_step(select(TOKEN_UNSOUND, found.at, is_sound_maximum(maximum_key)), was_done);
    }
    advance_lengths(local, was_done);
}
