// compact_kv: gather the rows that a layer keeps into its new, right-sized buffers.
//
//   new_keys[first[h] + i, :] = candidate kept[h, i] of head h, i < rows[h]; values the same
//   candidate j of head h: row offset[h] + j of keys if j < length[h], else the staged row
//   h * new_tokens + j - length[h]; keeps_all: kept[h, i] = i
//
// (offset, length, rows, first) of each head: `heads`. A thread copies one octet of key and value.
// Dispatch: (x, NUM_KV_HEADS, z), x * z * WORKGROUP_SIZE octets for the head that keeps most.
// CPU twin: test/reference/compact_kv.ts

#import kv
#import kept_rows

override WORKGROUP_SIZE: u32 = 64u;
override HEAD_DIM: u32; // a multiple of 8

struct Params {
    new_tokens: u32, // staged rows of each head
    spare_rows: u32, // rows between one head's last new row and the next one's first
    keeps_all: u32, // 1: all candidates stay, nothing was selected
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> heads: array<vec4<u32>>; // (KV heads)
@group(0) @binding(2) var<storage, read> kept: array<u32>; // (sum of rows)
@group(0) @binding(3) var<storage, read> keys: array<KvOctet>; // (old rows, HEAD_DIM / 8)
@group(0) @binding(4) var<storage, read> values: array<KvOctet>; // (old rows, HEAD_DIM / 8)
@group(0) @binding(5) var<storage, read> staged_keys: array<KvOctet>; // (KV heads, new_tokens, HEAD_DIM / 8)
@group(0) @binding(6) var<storage, read> staged_values: array<KvOctet>; // (KV heads, new_tokens, HEAD_DIM / 8)
@group(0) @binding(7) var<storage, read_write> new_keys: array<KvOctet>; // (new rows, HEAD_DIM / 8)
@group(0) @binding(8) var<storage, read_write> new_values: array<KvOctet>; // (new rows, HEAD_DIM / 8)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let octets = HEAD_DIM / 8u;
    let index = (wg_id.z * num_wg.x + wg_id.x) * WORKGROUP_SIZE + local_index;
    let slot = index / octets;
    let octet = index % octets;
    let kv_head = wg_id.y;
    let head = heads[kv_head];
    if (slot < head.z) {
        let candidate = kept_candidate(kv_head, slot);
        let to = (head.w + slot) * octets + octet;
        if (candidate < head.y) {
            let from_row = (head.x + candidate) * octets + octet;
            new_keys[to] = keys[from_row];
            new_values[to] = values[from_row];
        } else {
            let staged = kv_head * params.new_tokens + candidate - head.y;
            let from_row = staged * octets + octet;
            new_keys[to] = staged_keys[from_row];
            new_values[to] = staged_values[from_row];
        }
    }
}
