// split_budget: share a layer's rows out among its KV heads: a floor for each, the rest to whatever
// ranks highest in the layer.
//
//   rows[h] = number of candidates of head h among the total_rows first of the layer, in order of:
//   the floor_rows highest of each head; then by ranks, ties to the lower head
//   heads[h].z = rows[h]; head h has length[h] + new_tokens candidates
//
// Heads that rank above x, or rather the rows that they take then, max(floor, count above x), grow
// as x falls; the x at which they add up to total_rows is found digit by digit.
// One workgroup.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/split_budget.ts

#import rank

override WORKGROUP_SIZE: u32 = 256u; // at least 16

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    num_kv_heads: u32, // at most MAX_HEADS; at run time, since loops over dozens take seconds to unroll
    new_tokens: u32, // staged rows of each head
    score_stride: u32, // elements from one head's scores to the next one's
    total_rows: u32, // of all heads: at most as many as there are candidates
    floor_rows: u32, // times num_kv_heads: at most total_rows
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, num_kv_heads)
@group(0) @binding(2) var<storage, read> ranks: array<u32>; // (num_kv_heads, score_stride), bits of f32
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<u32>>; // (num_kv_heads)

const MAX_HEADS: u32 = 64u;
const DIGIT_BITS: u32 = 4u;
const BINS: u32 = 16u;

// By head and digit: how many candidates have it; then, how many have it or a larger one.
var<workgroup> sh_bins: array<atomic<u32>, MAX_HEADS * BINS>;
var<workgroup> sh_above: array<u32, MAX_HEADS>; // candidates with a larger start than `lowest`
var<workgroup> sh_rows: array<u32, BINS>; // that all heads take from a digit on
var<workgroup> sh_digit: u32;

fn num_candidates(head: u32) -> u32 {
    return table[params.table_base + head].y + params.new_tokens;
}

// Rows that a head takes when `count` of its candidates rank high enough.
fn rows_taken(head: u32, count: u32) -> u32 {
    return max(count, min(params.floor_rows, num_candidates(head)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_index) local_index: u32) {
    for (var head = local_index; head < params.num_kv_heads; head += WORKGROUP_SIZE) {
        sh_above[head] = 0u;
    }
    var lowest = 0u;
    var digit = 0u;
    for (var digits = 0u; digits < 32u; digits += DIGIT_BITS) {
        let shift = 28u - digits;
        for (var i = local_index; i < params.num_kv_heads * BINS; i += WORKGROUP_SIZE) {
            atomicStore(&sh_bins[i], 0u);
        }
        workgroupBarrier();
        // In two steps: a shift by 32 is none.
        let wanted = (lowest >> shift) >> DIGIT_BITS;
        for (var head = 0u; head < params.num_kv_heads; head += 1u) {
            let candidates = num_candidates(head);
            for (var j = local_index; j < candidates; j += WORKGROUP_SIZE) {
                let key = rank_key(ranks[head * params.score_stride + j]) >> shift;
                if ((key >> DIGIT_BITS) == wanted) {
                    atomicAdd(&sh_bins[head * BINS + (key & (BINS - 1u))], 1u);
                }
            }
        }
        workgroupBarrier();
        for (var head = local_index; head < params.num_kv_heads; head += WORKGROUP_SIZE) {
            var count = sh_above[head];
            for (var i = BINS; i > 0u; i -= 1u) {
                let bin = head * BINS + i - 1u;
                count += atomicLoad(&sh_bins[bin]);
                atomicStore(&sh_bins[bin], count);
            }
        }
        workgroupBarrier();
        if (local_index < BINS) {
            var rows = 0u;
            for (var head = 0u; head < params.num_kv_heads; head += 1u) {
                rows += rows_taken(head, atomicLoad(&sh_bins[head * BINS + local_index]));
            }
            sh_rows[local_index] = rows;
        }
        workgroupBarrier();
        if (local_index == 0u) {
            var found = BINS - 1u;
            while (found > 0u && sh_rows[found] < params.total_rows) {
                found -= 1u;
            }
            sh_digit = found;
        }
        digit = workgroupUniformLoad(&sh_digit);
        lowest |= digit << shift;
        if (digit < BINS - 1u) {
            for (var head = local_index; head < params.num_kv_heads; head += WORKGROUP_SIZE) {
                sh_above[head] = atomicLoad(&sh_bins[head * BINS + digit + 1u]);
            }
        }
        workgroupBarrier();
    }
    if (local_index == 0u) {
        var left = params.total_rows;
        for (var head = 0u; head < params.num_kv_heads; head += 1u) {
            left -= rows_taken(head, sh_above[head]);
        }
        for (var head = 0u; head < params.num_kv_heads; head += 1u) {
            let above = rows_taken(head, sh_above[head]);
            let equal = rows_taken(head, atomicLoad(&sh_bins[head * BINS + digit])) - above;
            let more = min(equal, left);
            heads[head] = vec4<u32>(0u, 0u, above + more, 0u);
            left -= more;
        }
    }
}
