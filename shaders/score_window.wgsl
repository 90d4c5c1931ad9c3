// score_window: the share of the window's attention that each candidate of a layer gets.
//
//   scores[h, j] = mean over window tokens i and query heads of KV head h of p[i, head, j]
//   p[i, head, j] = exp(scale * q[i, head] . k[j] - max) / sum, (max, sum) = stats[i, head]; 0 where
//   window token i doesn't see candidate j. So the scores of a KV head add up to 1.
//   ALL_HEADS: the mean is over the query heads of all KV heads, the same for each of them
//
// A thread takes one candidate; eight queries at a time share the load of its key. SUBGROUPS: see
// window_logits.
// Dispatch: (ceil(candidates / WORKGROUP_SIZE), ALL_HEADS ? 1 : NUM_KV_HEADS, 1).
// CPU twin: test/reference/score_window.ts

#import window_logits

override WORKGROUP_SIZE: u32 = 64u;
override ALL_HEADS: bool = false;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    new_tokens: u32, // staged rows of each head
    window_rows: u32, // window tokens that there are
    window_size: u32, // slots of the ring of queries
    first_slot: u32, // of window token 0
    ring_base: u32, // first vec4 of the layer in `queries`
    score_stride: u32, // elements from one head's scores to the next one's
    octets: u32, // of a key
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> stats: array<vec2<f32>>; // (window_rows, NUM_HEADS)
@group(0) @binding(6) var<storage, read_write> scores: array<f32>; // (NUM_KV_HEADS, score_stride)

// Sum of p over the query rows of a KV head, for candidate j; 0 if there is no such candidate.
fn attention_sum(kv_head: u32, j: u32, lane: u32) -> f32 {
    let entry = table[params.table_base + kv_head];
    let candidates = entry.y + params.new_tokens;
    var sum = 0.0;
    for (var row = 0u; row < query_rows(); row += ROWS) {
        let logits = window_logits(kv_head, entry, row, min(j, candidates - 1u), lane);
#unroll c 0 2
        {
            let first = row + 4u * $c;
#unroll i 0 4
            let at_$i = query_row(kv_head, first + $i);
            let stats_$i = stats[at_$i.x * NUM_HEADS + at_$i.y];
#end
            let maxima = vec4<f32>(stats_0.x, stats_1.x, stats_2.x, stats_3.x);
            let sums = vec4<f32>(stats_0.y, stats_1.y, stats_2.y, stats_3.y);
            let sees = window_sees(first, j, candidates);
            let shares = select(vec4<f32>(0.0), exp(logits[$c] - maxima) / sums, sees);
            sum += dot(shares, vec4<f32>(1.0));
        }
#end
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
#if SUBGROUPS
    @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
#if SUBGROUPS
#else
    let lane = 0u;
#endif
    let j = wg_id.x * WORKGROUP_SIZE + local_index;
    let first_head = select(wg_id.y, 0u, ALL_HEADS);
    let end_head = select(wg_id.y + 1u, NUM_KV_HEADS, ALL_HEADS);
    var sum = 0.0;
    for (var kv_head = first_head; kv_head < end_head; kv_head += 1u) {
        sum += attention_sum(kv_head, j, lane);
    }
    let mean = sum / f32(query_rows() * (end_head - first_head));
    for (var kv_head = first_head; kv_head < end_head; kv_head += 1u) {
        if (j < params.score_stride) {
            scores[kv_head * params.score_stride + j] = mean;
        }
    }
}
