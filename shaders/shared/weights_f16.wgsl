// weights_f16: half-precision weights, 8 consecutive columns per vec4<u32>, without scales.
//
// "Block" is 32 columns; see weights_q4 for chunk, raw_chunk and raw_factor (here always 1).

#import row_groups

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>; // (rows / 8, cols / 32, 8, 4)

struct Block {
    first: vec4<u32>,
    second: vec4<u32>,
    third: vec4<u32>,
    fourth: vec4<u32>,
}

fn load_block(index: u32) -> Block {
    let at = index * 4u;
    return Block(quants[at], quants[at + 1u], quants[at + 2u], quants[at + 3u]);
}

fn block_scale(block: Block, half: u32) -> f32 {
    return 1.0;
}

fn block_min(block: Block, half: u32) -> f32 {
    return 0.0;
}

fn unpack_words(words: vec4<u32>, chunk: u32) -> vec4<f32> {
    let pair = select(words.xy, words.zw, (chunk & 1u) == 1u);
    return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
}

fn raw_chunk(block: Block, chunk: u32) -> vec4<f32> {
    var words = block.first;
    if (chunk >= 6u) {
        words = block.fourth;
    } else if (chunk >= 4u) {
        words = block.third;
    } else if (chunk >= 2u) {
        words = block.second;
    }
    return unpack_words(words, chunk);
}

fn raw_factor(chunk: u32) -> f32 {
    return 1.0;
}

// The four weights of a chunk; for a chunk that is not known when the kernel is compiled.
fn load_chunk(index: u32, chunk: u32) -> vec4<f32> {
    return unpack_words(quants[index * 4u + (chunk >> 1u)], chunk);
}
