// pool_scores: smooth the scores of what lies before the window, and put the window above them.
//
//   pooled[h, j] = (sum or max) of scores[h, i], |i - j| <= POOL_SIZE / 2, 0 <= i < past, for j < past
//   pooled[h, j] = 3e38 for past <= j < past + window_rows, past = length[h] + new_tokens - window_rows
//
// The sum is divided by POOL_SIZE, also at the ends, where fewer terms exist.
// A thread takes one candidate.
// Dispatch: (ceil(candidates / WORKGROUP_SIZE), KV heads, 1).
// CPU twin: test/reference/pool_scores.ts

#import rank

override WORKGROUP_SIZE: u32 = 64u;
override POOL_SIZE: u32; // odd
override POOL_MAX: bool; // else the average

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    new_tokens: u32, // staged rows of each head
    window_rows: u32, // window tokens that there are
    score_stride: u32, // elements from one head's scores to the next one's
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, KV heads)
@group(0) @binding(2) var<storage, read> scores: array<f32>; // (KV heads, score_stride)
@group(0) @binding(3) var<storage, read_write> pooled: array<f32>; // (KV heads, score_stride)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let j = wg_id.x * WORKGROUP_SIZE + local_index;
    let base = wg_id.y * params.score_stride;
    let past = table[params.table_base + wg_id.y].y + params.new_tokens - params.window_rows;
    if (j < past) {
        let first = max(j, POOL_SIZE / 2u) - POOL_SIZE / 2u;
        let end = min(j + POOL_SIZE / 2u + 1u, past);
        var result = scores[base + first];
        for (var i = first + 1u; i < end; i += 1u) {
            let score = scores[base + i];
            result = select(result + score, max(result, score), POOL_MAX);
        }
        pooled[base + j] = select(result / f32(POOL_SIZE), result, POOL_MAX);
    } else if (j < past + params.window_rows) {
        pooled[base + j] = SCORE_ALWAYS;
    }
}
