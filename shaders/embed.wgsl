// embed: rows of the quantised embedding matrix become the hidden states of a run of tokens.
//
//   hidden[t, :] = E[token_ids[ids_offset + t], :]
//
// E comes in slices of rows; a dispatch writes the tokens whose row lies in its slice.
// A thread writes 4 columns of one token.
// Dispatch: (x, y, 1) with x * y >= ceil(tokens * cols / 256).
// CPU twin: test/reference/embed.ts

#import weights

struct Params {
    tokens: u32,
    cols: u32, // a multiple of 32
    ids_offset: u32, // element of the first token's id
    row_start: u32, // row of E that the slice starts with
    rows: u32, // of the slice
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> token_ids: array<u32>; // (ids_offset + tokens)
@group(0) @binding(4) var<storage, read_write> hidden: array<vec4<f32>>; // (tokens, cols / 4)

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (wg_id.y * num_wg.x + wg_id.x) * 64u + local_index;
    let width = params.cols / 4u;
    let token = i / width;
    if (token < params.tokens) {
        let row = token_ids[params.ids_offset + token] - params.row_start; // wraps below the slice
        if (row < params.rows) {
            let chunk = i % width;
            let block = first_block(row, params.cols / 32u) + chunk / 8u * ROW_GROUP;
            hidden[i] = load_chunk(block, chunk % 8u);
        }
    }
}
