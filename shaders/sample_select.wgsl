// sample_select: the cut of top-k and top-p, exact, without sorting.
//
//   Tokens in order of (key descending, id ascending): top-k keeps the first top_k of them, top-p
//   the fewest first ones whose weight reaches top_p of the weight that top-k kept.
//   selection = (key, id) of the last token kept: kept is what comes before it, and itself
//
// A radix select: the histogram gives the bin with the cut, then BINS ranges of the bin's keys are
// counted, then BINS ranges of the range with the cut, until a range is a single key; if only some
// tokens with that key are kept, the same with their ids. One loop does all that, as CPU adapters
// take seconds to compile a second copy of its barriers.
// One workgroup does it all.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/sample.ts

#import best_partial
#import sampling_bins
#import crossing

override WORKGROUP_SIZE: u32 = 256u;

struct Params {
    bins_per_logit: f32, // 1 / (BIN_NATS * temperature)
    range: f32, // logits from the best token to the end of the last bin
    top_k: u32, // 0: off
    top_p: f32, // 1: off
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>; // (parts) key, id
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>; // (vocab_size / 4)
@group(0) @binding(3) var<storage, read> histogram: array<u32>; // (2, BINS)
@group(0) @binding(4) var<storage, read_write> selection: array<u32>; // key, id

const LOG2_BINS: u32 = 10u;
const ID_NONE: u32 = 0xffffffffu;
const LANES: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// What the bins are counted by.
const BY_DEPTH: u32 = 0u;
const BY_KEY: u32 = 1u;
const BY_ID: u32 = 2u;

// The bin that holds the cut.
struct Pick {
    found: Crossing,
    value: vec2<f32>, // count and mass in it
}

// What one round of counting looks at.
struct Round {
    by: u32,
    bin: u32, // of the histogram; BY_KEY: its tokens only
    key: u32, // BY_ID: tokens with this key only
    start: u32, // BY_KEY: complement of the largest key, BY_ID: least id
    shift: u32, // bin j holds what is from start + (j << shift) on
    unit: f32, // what a bin's excess is measured in, except BY_DEPTH
}

var<workgroup> sh_maximum: u32;
var<workgroup> sh_bins: array<atomic<u32>, 2u * BINS>; // (2, BINS)
var<workgroup> sh_pick: Pick;

// The shift that makes a range of so many fit the bins.
fn shift_for(last: u32) -> u32 {
    return max(firstLeadingBit(last) + 1u, LOG2_BINS) - LOG2_BINS;
}

fn count_ranges(local: u32, maximum: f32, round: Round) {
    let lowest = order_key(maximum - params.range);
    for (var i = local; i < arrayLength(&keys); i += WORKGROUP_SIZE) {
        let found = keys[i];
        let depth = depth4(found, maximum);
        let bins = bin4(depth);
        let by_id = round.by == BY_ID;
        let place = select(~found, 4u * i + LANES, by_id);
        let range = (place - round.start) >> vec4<u32>(round.shift);
        let counts = select(
            (found >= vec4<u32>(lowest)) & (bins == vec4<u32>(round.bin)),
            found == vec4<u32>(round.key),
            by_id,
        ) & (place >= vec4<u32>(round.start)) & (range < vec4<u32>(BINS));
        if (any(counts)) {
            let excess = excess4(depth, bins);
#unroll c 0 4
            if (counts[$c]) {
                atomicAdd(&sh_bins[range[$c]], 1u);
                atomicAdd(&sh_bins[BINS + range[$c]], excess[$c]);
            }
#end
        }
    }
}

// Count and mass of a bin.
fn bin_value(bin: u32, round: Round) -> vec2<f32> {
    let unit = select(round.unit, bin_weight(bin), round.by == BY_DEPTH);
    let count = f32(atomicLoad(&sh_bins[bin]));
    return vec2<f32>(count, (count + f32(atomicLoad(&sh_bins[BINS + bin])) / EXCESS_ONE) * unit);
}

// The bin in which count or mass reach the goal.
fn pick_bin(local: u32, round: Round, above: vec2<f32>, by_mass: bool, goal: f32) -> Pick {
    let size = BINS / WORKGROUP_SIZE;
    var mine = vec2<f32>(0.0);
    for (var i = local * size; i < (local + 1u) * size; i += 1u) {
        mine += bin_value(i, round);
    }
    share_sums(local, mine);
    if (local == 0u) {
        let owner = find_crossing(local, above, by_mass, goal);
        var running = owner.above;
        var found = Crossing(0u, 0u, owner.above);
        for (var i = owner.at * size; i < (owner.at + 1u) * size; i += 1u) {
            try_crossing(&found, &running, i, bin_value(i, round), by_mass, goal);
        }
        found.is_reached = owner.is_reached;
        sh_pick = Pick(found, bin_value(found.at, round));
    }
    return workgroupUniformLoad(&sh_pick);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let best = best_partial(local);
    if (local == 0u) {
        sh_maximum = best.x;
    }
    let maximum = key_logit4(vec4<u32>(workgroupUniformLoad(&sh_maximum))).x;

    var last_key = KEY_NONE;
    var last_id = ID_NONE;
    var kept_mass = 0.0; // of top-k
    // First the cut of top-k, then that of top-p. With top-k off the goal is more than there is.
    for (var is_nucleus = 0u; is_nucleus < 2u; is_nucleus += 1u) {
        var by_mass = is_nucleus == 1u;
        var goal = select(f32(params.top_k), 2e9, params.top_k == 0u);
        if (by_mass) {
            goal = params.top_p * kept_mass;
        }
        var above = vec2<f32>(0.0);
        var round = Round(BY_DEPTH, 0u, 0u, 0u, 0u, 0.0);
        var is_open = !by_mass || params.top_p < 1.0;
        while (is_open) {
            for (var i = local; i < 2u * BINS; i += WORKGROUP_SIZE) {
                atomicStore(&sh_bins[i], select(0u, histogram[i], round.by == BY_DEPTH));
            }
            workgroupBarrier();
            if (round.by != BY_DEPTH) {
                count_ranges(local, maximum, round);
            }
            workgroupBarrier();
            let pick = pick_bin(local, round, above, by_mass, goal);
            above = pick.found.above;
            let at = pick.found.at;
            if (round.by == BY_DEPTH) {
                kept_mass = select(kept_mass, above.y + pick.value.y, is_nucleus == 0u);
                is_open = pick.found.is_reached != 0u;
                // The keys of the bin, with room for the rounding of depths.
                let near = maximum - f32(at) / params.bins_per_logit;
                let far = maximum - f32(at + 1u) / params.bins_per_logit;
                let slack = (abs(maximum) + abs(near) + abs(far)) * 1e-6;
                let start = ~order_key(min(maximum, near + slack));
                let shift = shift_for(~order_key(far - slack) - start);
                round = Round(BY_KEY, at, 0u, start, shift, bin_weight(at));
            } else if (round.shift > 0u) {
                round.start += at << round.shift;
                round.shift = max(round.shift, LOG2_BINS) - LOG2_BINS;
            } else {
                is_open = false;
                var key = round.key;
                var id = round.start + at;
                if (round.by == BY_KEY) {
                    key = ~id;
                    id = ID_NONE;
                    let weight = pick.value.y / pick.value.x;
                    let by_weight = ceil((goal - above.y) / weight);
                    let ties = clamp(select(goal - above.x, by_weight, by_mass), 1.0, pick.value.x);
                    kept_mass = select(kept_mass, above.y + ties * weight, is_nucleus == 0u);
                    if (ties < pick.value.x) {
                        is_open = true;
                        by_mass = false;
                        goal = above.x + ties;
                        round = Round(BY_ID, 0u, key, 0u, shift_for(4u * arrayLength(&keys)), 1.0);
                    }
                }
                if (!is_open && (key > last_key || (key == last_key && id < last_id))) {
                    last_key = key;
                    last_id = id;
                }
            }
        }
    }
    if (local == 0u) {
        selection[0] = last_key;
        selection[1] = last_id;
    }
}
