// score_stats: max and sum of the softmax of the window's queries over all candidates of a layer,
// where attention has not left them.
//
//   stats[i, head] = (max_j logit[j], sum_j exp(logit[j] - max)), logit[j] = scale * q[i, head] . k[j],
//   over the candidates j of the head's KV head that window token i sees
//
// A workgroup takes eight query rows of a KV head; each of its invocations walks over every
// WORKGROUP_SIZE-th candidate. SUBGROUPS: see window_logits.
// Dispatch: (ceil(window_rows * queries per KV head / 8), NUM_KV_HEADS, 1).
// CPU twin: test/reference/score_stats.ts

#import softmax
#import window_logits

override WORKGROUP_SIZE: u32 = 64u; // at least 8

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    new_tokens: u32, // staged rows of each head
    window_rows: u32, // window tokens that there are
    window_size: u32, // slots of the ring of queries
    first_slot: u32, // of window token 0
    ring_base: u32, // first vec4 of the layer in `queries`
    octets: u32, // of a key
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2<f32>>; // (window_rows, NUM_HEADS)

var<workgroup> sh_max: array<f32, ROWS * WORKGROUP_SIZE>; // [row][invocation]
var<workgroup> sh_sum: array<f32, ROWS * WORKGROUP_SIZE>;

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
    let kv_head = wg_id.y;
    let first_row = wg_id.x * ROWS;
    let entry = table[params.table_base + kv_head];
    let candidates = entry.y + params.new_tokens;
#unroll c 0 2
    var max_$c = vec4<f32>(NEG_BIG);
    var sum_$c = vec4<f32>(0.0);
#end
    for (var begin = 0u; begin < candidates; begin += WORKGROUP_SIZE) {
        let j = begin + local_index;
        let logits = window_logits(kv_head, entry, first_row, min(j, candidates - 1u), lane);
#unroll c 0 2
        {
            let sees = window_sees(first_row + 4u * $c, j, candidates);
            let larger = select(max_$c, max(max_$c, logits[$c]), sees);
            let share = select(vec4<f32>(0.0), exp(logits[$c] - larger), sees);
            sum_$c = sum_$c * exp(max_$c - larger) + share;
            max_$c = larger;
        }
#end
    }
#unroll c 0 2
#unroll i 0 4
    sh_max[(4u * $c + $i) * WORKGROUP_SIZE + local_index] = max_$c[$i];
    sh_sum[(4u * $c + $i) * WORKGROUP_SIZE + local_index] = sum_$c[$i];
#end
#end
    workgroupBarrier();
    // One invocation a row, since each barrier of a tree takes software adapters a second to compile.
    if (local_index < ROWS && first_row + local_index < query_rows()) {
        let first = local_index * WORKGROUP_SIZE;
        var most = NEG_BIG;
        for (var i = 0u; i < WORKGROUP_SIZE; i += 1u) {
            most = max(most, sh_max[first + i]);
        }
        var sum = 0.0;
        for (var i = 0u; i < WORKGROUP_SIZE; i += 1u) {
            sum += sh_sum[first + i] * exp(sh_max[first + i] - most);
        }
        let row = query_row(kv_head, first_row + local_index);
        stats[row.x * NUM_HEADS + row.y] = vec2<f32>(most, sum);
    }
}
