// score_keynorm: rank the candidates of a layer by the norm of their keys, small ones first.
//
//   scores[h, j] = -sum_d k[j, d]^2
//
// The square ranks as the norm does, but doesn't round different norms to the same number.
// A thread takes one candidate.
// Dispatch: (ceil(candidates / WORKGROUP_SIZE), NUM_KV_HEADS, 1).
// CPU twin: test/reference/score_keynorm.ts

#import kv

override WORKGROUP_SIZE: u32 = 64u;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    new_tokens: u32, // staged rows of each head
    score_stride: u32, // elements from one head's scores to the next one's
    octets: u32, // of a key, at run time: see window_logits
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, KV heads)
@group(0) @binding(2) var<storage, read> keys: array<KvOctet>; // (rows, octets)
@group(0) @binding(3) var<storage, read> staged_keys: array<KvOctet>; // (KV heads, new_tokens, octets)
@group(0) @binding(4) var<storage, read_write> scores: array<f32>; // (KV heads, score_stride)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let kv_head = wg_id.y;
    let j = wg_id.x * WORKGROUP_SIZE + local_index;
    let entry = table[params.table_base + kv_head];
    if (j < entry.y + params.new_tokens) {
        let octets = params.octets;
        let staged_base = (kv_head * params.new_tokens + j - entry.y) * octets;
        let key_base = select(staged_base, (entry.x + j) * octets, j < entry.y);
        var squares = vec4<f32>(0.0);
        for (var octet = 0u; octet < octets; octet += 1u) {
            var key: KvOctet;
            if (j < entry.y) {
                key = keys[key_base + octet];
            } else {
                key = staged_keys[key_base + octet];
            }
            let low = kv_low(key);
            let high = kv_high(key);
            squares += low * low + high * high;
        }
        scores[kv_head * params.score_stride + j] = -dot(squares, vec4<f32>(1.0));
    }
}
