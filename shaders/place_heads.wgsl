// place_heads: how many rows each KV head of a layer keeps, and where they go.
//
//   rows[h] = min(max_rows, length[h] + new_tokens), or what split_budget left in heads[h].z
//   first[h] = sum_{g < h} (rows[g] + spare_rows)
//   heads[h] = (offset[h], length[h], rows[h], first[h])
//   table[table_base + h] = (first[h], rows[h], rows[h] + spare_rows, 0)
//   kept_mass[table_base + h] = mass
//
// From here on the table tells how rows lie afterwards, and `heads` how to get them there.
// One invocation walks over the heads: there are few.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/place_heads.ts

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    num_kv_heads: u32, // at run time, since a loop over dozens takes seconds to unroll
    new_tokens: u32, // staged rows of each head
    max_rows: u32,
    is_split: u32, // 1: rows are given by split_budget
    spare_rows: u32,
    mass: f32, // of the window's attention, until kept_mass measures it
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> table: array<vec4<u32>>; // (layers, num_kv_heads)
@group(0) @binding(2) var<storage, read_write> heads: array<vec4<u32>>; // (num_kv_heads)
@group(0) @binding(3) var<storage, read_write> kept_mass: array<f32>; // (layers, num_kv_heads)

@compute @workgroup_size(1)
fn main() {
    var first = 0u;
    for (var head = 0u; head < params.num_kv_heads; head += 1u) {
        let at = params.table_base + head;
        let entry = table[at];
        let candidates = entry.y + params.new_tokens;
        let rows = select(min(params.max_rows, candidates), heads[head].z, params.is_split != 0u);
        heads[head] = vec4<u32>(entry.x, entry.y, rows, first);
        table[at] = vec4<u32>(first, rows, rows + params.spare_rows, 0u);
        kept_mass[at] = params.mass;
        first += rows + params.spare_rows;
    }
}
