// attention_merge: put the splits of attention_decode together.
//
//   out[head, :] = sum_s exp(m[s] - M) partial_out[head, s, :] / sum_s exp(m[s] - M) l[s], M = max_s m[s]
//
// A thread takes 4 values of a head.
// Dispatch: (ceil(NUM_HEADS * HEAD_DIM / 4 / WORKGROUP_SIZE), 1, 1).
// CPU twin: test/reference/attention.ts

#import softmax

override WORKGROUP_SIZE: u32 = 64u;
override NUM_HEADS: u32;
override HEAD_DIM: u32;

struct Params {
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial_out: array<vec4<f32>>; // (NUM_HEADS, splits, HEAD_DIM / 4)
@group(0) @binding(2) var<storage, read> partial_stats: array<vec2<f32>>; // (NUM_HEADS, splits) of (m, l)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (NUM_HEADS, HEAD_DIM / 4)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let words = HEAD_DIM / 4u;
    let head = global_id.x / words;
    let word = global_id.x % words;
    if (head < NUM_HEADS) {
        let base = head * params.splits;
        var most = NEG_BIG;
        for (var s = 0u; s < params.splits; s += 1u) {
            most = max(most, partial_stats[base + s].x);
        }
        var sum = vec4<f32>();
        var l = 0.0;
        for (var s = 0u; s < params.splits; s += 1u) {
            let split = partial_stats[base + s];
            let weight = exp(split.x - most);
            sum += weight * partial_out[(base + s) * words + word];
            l += weight * split.y;
        }
        out[global_id.x] = sum / l;
    }
}
