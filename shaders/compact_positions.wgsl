// compact_positions: the positions of the rows that compact_kv gathers.
//
//   new_positions[first[h] + i] = position of candidate kept[h, i] of head h, i < rows[h]
//   position of candidate j: positions[offset[h] + j] if j < length[h], else
//   first_position + j - length[h]; keeps_all: kept[h, i] = i
//
// (offset, length, rows, first) of each head: `heads`. A thread takes one row.
// Dispatch: (ceil(rows of the head that keeps most / WORKGROUP_SIZE), NUM_KV_HEADS, 1).
// CPU twin: test/reference/compact_positions.ts

#import kept_rows

override WORKGROUP_SIZE: u32 = 64u;

struct Params {
    first_position: u32, // of the first staged row
    spare_rows: u32,
    keeps_all: u32, // 1: all candidates stay, nothing was selected
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> heads: array<vec4<u32>>; // (KV heads)
@group(0) @binding(2) var<storage, read> kept: array<u32>; // (sum of rows)
@group(0) @binding(3) var<storage, read> positions: array<u32>; // (old rows)
@group(0) @binding(4) var<storage, read_write> new_positions: array<u32>; // (new rows)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let slot = wg_id.x * WORKGROUP_SIZE + local_index;
    let head = heads[wg_id.y];
    if (slot < head.z) {
        let candidate = kept_candidate(wg_id.y, slot);
        if (candidate < head.y) {
            new_positions[head.w + slot] = positions[head.x + candidate];
        } else {
            new_positions[head.w + slot] = params.first_position + candidate - head.y;
        }
    }
}
