// score_recency: rank the candidates of a layer by age: the sinks first, then the latest.
//
//   scores[h, j] = 3e38 for j < num_sinks, else j
//
// A thread takes one candidate.
// Dispatch: (ceil(candidates / WORKGROUP_SIZE), KV heads, 1).
// CPU twin: test/reference/score_recency.ts

#import rank

override WORKGROUP_SIZE: u32 = 64u;

struct Params {
    num_sinks: u32,
    score_stride: u32, // elements from one head's scores to the next one's
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>; // (KV heads, score_stride)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let j = wg_id.x * WORKGROUP_SIZE + local_index;
    if (j < params.score_stride) {
        scores[wg_id.y * params.score_stride + j] = select(f32(j), SCORE_ALWAYS, j < params.num_sinks);
    }
}
