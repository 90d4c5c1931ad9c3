// weights_q4: w = scale * nibble + min, blocks of 32 columns.
//
// A block is one vec4: nibble i (bits 4i..) of word c is column 4i + c, so that one mask takes out
// "chunk" i, columns 4i..4i+3. raw_chunk leaves the nibbles in place: it gives the value over
// raw_factor(chunk), a power of two, and no shift is needed where x or the scale takes the factor.
// The words are signed because masks and conversions of signed numbers are cheap everywhere.

#import row_groups

@group(0) @binding(1) var<storage, read> quants: array<vec4<i32>>; // (rows / 8, cols / 32, 8)
@group(0) @binding(2) var<storage, read> scales: array<u32>; // the same; f16 (scale, min)

struct Block {
    quants: vec4<i32>,
    scale: f32,
    min: f32,
}

fn load_block(index: u32) -> Block {
    let scale_min = unpack2x16float(scales[index]);
    return Block(quants[index], scale_min.x, scale_min.y);
}

fn block_scale(block: Block, half: u32) -> f32 {
    return block.scale;
}

fn block_min(block: Block, half: u32) -> f32 {
    return block.min;
}

// Nibble 7 would be the sign, so it alone is shifted: to the place of nibble 6.
fn raw_chunk(block: Block, chunk: u32) -> vec4<f32> {
    if (chunk == 7u) {
        return vec4<f32>((block.quants >> vec4<u32>(4u)) & vec4<i32>(0x0f000000));
    }
    return vec4<f32>(block.quants & vec4<i32>(15 << (chunk * 4u)));
}

// 16^-min(chunk, 6), exactly.
fn raw_factor(chunk: u32) -> f32 {
    return bitcast<f32>((127u - 4u * min(chunk, 6u)) << 23u);
}

// The four weights of a chunk; for a chunk that is not known when the kernel is compiled.
fn load_chunk(index: u32, chunk: u32) -> vec4<f32> {
    let scale_min = unpack2x16float(scales[index]);
    let nibbles = (quants[index] >> vec4<u32>(chunk * 4u)) & vec4<i32>(15);
    return vec4<f32>(nibbles) * scale_min.x + scale_min.y;
}
