// sample_histogram: how many tokens, and how much weight, lie at which distance from the best one.
//
//   bin = floor((max - logit) * bins_per_logit), weight = exp(-(max - logit) / temperature)
//   histogram[bin] = number of tokens; histogram[BINS + bin] = sum of weight / bin_weight(bin) - 1
//
// One workgroup counts 4 * VEC4S * WORKGROUP_SIZE tokens in its own memory and adds that to the
// histogram, which argmax_partial cleared.
// Dispatch: (ceil(vocab_size / (4 * VEC4S * WORKGROUP_SIZE)), 1, 1).
// CPU twin: test/reference/sample.ts

#import best_partial
#import sampling_bins

override WORKGROUP_SIZE: u32 = 256u;
override VEC4S: u32 = 8u;

struct Params {
    bins_per_logit: f32, // 1 / (BIN_NATS * temperature)
    range: f32, // logits from the best token to the end of the last bin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>; // (parts) key, id
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>; // (vocab_size / 4)
@group(0) @binding(3) var<storage, read_write> histogram: array<atomic<u32>>; // (2, BINS)

var<workgroup> sh_maximum: u32;
var<workgroup> sh_bins: array<atomic<u32>, 2u * BINS>; // (2, BINS)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(local_invocation_id) local_id: vec3<u32>,
    @builtin(workgroup_id) wg_id: vec3<u32>,
) {
    let best = best_partial(local_id.x);
    if (local_id.x == 0u) {
        sh_maximum = best.x;
    }
    let maximum = key_logit4(vec4<u32>(workgroupUniformLoad(&sh_maximum))).x;
    let lowest = order_key(maximum - params.range);
    let first = wg_id.x * VEC4S * WORKGROUP_SIZE + local_id.x;
    let end = min(first + VEC4S * WORKGROUP_SIZE, arrayLength(&keys));
    for (var i = first; i < end; i += WORKGROUP_SIZE) {
        let found = keys[i];
        let depth = depth4(found, maximum);
        let bin = bin4(depth);
        let excess = excess4(depth, bin);
#unroll c 0 4
        if (found[$c] >= lowest) {
            atomicAdd(&sh_bins[bin[$c]], 1u);
            atomicAdd(&sh_bins[BINS + bin[$c]], excess[$c]);
        }
#end
    }
    workgroupBarrier();
    for (var i = local_id.x; i < 2u * BINS; i += WORKGROUP_SIZE) {
        let value = atomicLoad(&sh_bins[i]);
        if (value != 0u) {
            atomicAdd(&histogram[i], value);
        }
    }
}
