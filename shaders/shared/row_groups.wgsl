// row_groups: where a block of 32 columns lies in a matrix of weights.
//
// Eight rows are a group: first every row's block 0, then every row's block 1, and so on, so that
// threads with neighbouring rows read one run of memory (src/formats/row-groups.ts makes it so).

const ROW_GROUP: u32 = 8u;

// Index of a row's block 0; its block b lies b * ROW_GROUP further on. `blocks` is cols / 32.
fn first_block(row: u32, blocks: u32) -> u32 {
    return (row / ROW_GROUP) * ROW_GROUP * blocks + row % ROW_GROUP;
}
