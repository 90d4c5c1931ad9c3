// weights_q8: w = scale * byte + min, or scale * (byte - 128); blocks of BLOCK (32 or 16) columns.
//
// 16 columns are one vec4: byte p (bits 8p..) of word c is column 4p + c. "Block" below is 32
// columns for every BLOCK; see weights_q4 for chunk, raw_chunk and raw_factor.

#import row_groups

@group(0) @binding(1) var<storage, read> quants: array<vec4<i32>>; // (rows / 8, cols / 32, 8, 2)
// HAS_MIN: f16 (scale, min) per word; else f16 scales, two per word.
@group(0) @binding(2) var<storage, read> scales: array<u32>; // (rows / 8, cols / 32, 8, 32 / BLOCK)

override BLOCK: u32;
override HAS_MIN: bool;

struct Block {
    low: vec4<i32>,
    high: vec4<i32>,
    scale: vec2<f32>, // of each half
    min: vec2<f32>,
}

// (scale, min) of the half `half` of block `index`.
fn load_scale(index: u32, half: u32) -> vec2<f32> {
    var block = index;
    if (BLOCK == 16u) {
        block = index * 2u + half;
    }
    if (HAS_MIN) {
        return unpack2x16float(scales[block]);
    }
    let pair = unpack2x16float(scales[block >> 1u]);
    let scale = select(pair.x, pair.y, (block & 1u) == 1u);
    return vec2<f32>(scale, -128.0 * scale);
}

fn load_block(index: u32) -> Block {
    let first = load_scale(index, 0u);
    var second = first;
    if (BLOCK == 16u) {
        second = load_scale(index, 1u);
    }
    return Block(
        quants[index * 2u],
        quants[index * 2u + 1u],
        vec2<f32>(first.x, second.x),
        vec2<f32>(first.y, second.y),
    );
}

fn block_scale(block: Block, half: u32) -> f32 {
    return select(block.scale.x, block.scale.y, half == 1u);
}

fn block_min(block: Block, half: u32) -> f32 {
    return select(block.min.x, block.min.y, half == 1u);
}

// Byte 3 would be the sign, so it alone is shifted: to the place of byte 2.
fn raw_chunk(block: Block, chunk: u32) -> vec4<f32> {
    var words = block.low;
    if (chunk >= 4u) {
        words = block.high;
    }
    if ((chunk & 3u) == 3u) {
        return vec4<f32>((words >> vec4<u32>(8u)) & vec4<i32>(0x00ff0000));
    }
    return vec4<f32>(words & vec4<i32>(255 << ((chunk & 3u) * 8u)));
}

// 256^-min(chunk % 4, 2), exactly.
fn raw_factor(chunk: u32) -> f32 {
    return bitcast<f32>((127u - 8u * min(chunk & 3u, 2u)) << 23u);
}

// The four weights of a chunk; for a chunk that is not known when the kernel is compiled.
fn load_chunk(index: u32, chunk: u32) -> vec4<f32> {
    let scale_min = load_scale(index, chunk >> 2u);
    let words = quants[index * 2u + (chunk >> 2u)];
    let bytes = (words >> vec4<u32>((chunk & 3u) * 8u)) & vec4<i32>(255);
    return vec4<f32>(bytes) * scale_min.x + scale_min.y;
}
