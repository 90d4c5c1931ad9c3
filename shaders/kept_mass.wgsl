// kept_mass: the share of the window's attention that the selected candidates of a layer carry.
//
//   kept_mass[table_base + h] = sum_i scores[h, kept[base[h] + i]], i < rows[h]
//   base[h] = sum_{g < h} rows[g]
//
// One workgroup per KV head; each invocation sums every WORKGROUP_SIZE-th row, then a tree.
// Dispatch: (KV heads, 1, 1).
// CPU twin: test/reference/kept_mass.ts

override WORKGROUP_SIZE: u32 = 64u; // a power of two

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    score_stride: u32, // elements from one head's scores to the next one's
    spare_rows: u32, // rows between one head's last new row and the next one's first
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> heads: array<vec4<u32>>; // (KV heads), (offset, length, rows, first)
@group(0) @binding(2) var<storage, read> kept: array<u32>; // (sum of rows)
@group(0) @binding(3) var<storage, read> scores: array<f32>; // (KV heads, score_stride)
@group(0) @binding(4) var<storage, read_write> kept_mass: array<f32>; // (layers, KV heads)

var<workgroup> sh_sum: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let head = heads[wg_id.x];
    let base = head.w - wg_id.x * params.spare_rows;
    var sum = 0.0;
    for (var i = local_index; i < head.z; i += WORKGROUP_SIZE) {
        sum += scores[wg_id.x * params.score_stride + kept[base + i]];
    }
    sh_sum[local_index] = sum;
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        if (local_index < half) {
            sh_sum[local_index] += sh_sum[local_index + half];
        }
        workgroupBarrier();
    }
    if (local_index == 0u) {
        kept_mass[params.table_base + wg_id.x] = sh_sum[0];
    }
}
