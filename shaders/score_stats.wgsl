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

override WORKGROUP_SIZE: u32 = 64u; // a power of two

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

// Of the eight rows, four in each column.
var<workgroup> sh_max: array<mat2x4<f32>, WORKGROUP_SIZE>;
var<workgroup> sh_sum: array<mat2x4<f32>, WORKGROUP_SIZE>;

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
    sh_max[local_index] = mat2x4<f32>(max_0, max_1);
    sh_sum[local_index] = mat2x4<f32>(sum_0, sum_1);
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        if (local_index < half) {
            let other = local_index + half;
#unroll c 0 2
            {
                let a = sh_max[local_index][$c];
                let b = sh_max[other][$c];
                let larger = max(a, b);
                sh_max[local_index][$c] = larger;
                sh_sum[local_index][$c] = sh_sum[local_index][$c] * exp(a - larger)
                    + sh_sum[other][$c] * exp(b - larger);
            }
#end
        }
        workgroupBarrier();
    }
    if (local_index < ROWS && first_row + local_index < query_rows()) {
        let row = query_row(kv_head, first_row + local_index);
        let max_logit = sh_max[0][local_index / 4u][local_index % 4u];
        let sum = sh_sum[0][local_index / 4u][local_index % 4u];
        stats[row.x * NUM_HEADS + row.y] = vec2<f32>(max_logit, sum);
    }
}
