// adjust_lengths: add a number to the length of cache heads, after a prefill or for a rewind.
//
//   table[i].length = clamp(table[i].length + delta, 0, table[i].capacity), first <= i < first + count
//
// A thread takes one head.
// Dispatch: (ceil(count / WORKGROUP_SIZE), 1, 1).
// CPU twin: test/reference/adjust_lengths.ts

override WORKGROUP_SIZE: u32 = 64u;

struct Params {
    first: u32, // table entry
    count: u32, // table entries
    delta: i32, // rows
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> table: array<vec4<u32>>; // (layers, KV heads)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    if (global_id.x < params.count) {
        let i = params.first + global_id.x;
        let entry = table[i];
        table[i].y = u32(clamp(i32(entry.y) + params.delta, 0, i32(entry.z)));
    }
}
