// quantize_rows: rows of f32, f16 or bf16 become planar blocks of 32, and the error is measured.
//
//   q4: q = clamp(round((w - min) / scale), 0, 15);  w' = scale q + min
//   q8: q = clamp(round(w / scale), -127, 127) + 128;  w' = scale (q - 128)
//
// Scale and minimum are f16, and q is chosen for them as rounded. q4 tries twice to fit both better
// to the chosen q (least squares) and keeps what has the smallest error. Row skipped_rows + r of `source`
// becomes row first_row + r * row_step of the matrix. A thread makes one block; a workgroup adds its sums to
// its own element of `sums`.
// Dispatch: (ceil(rows * blocks / 64), 1, 1).
// CPU twin: test/reference/quantize_rows.ts

#import row_groups

override BITS: u32; // 4 or 8
override SOURCE: u32; // 0: f32, 1: f16, 2: bf16

struct Params {
    skipped_rows: u32, // at the start of `source`
    rows: u32,
    blocks: u32, // cols / 32
    first_row: u32, // of the matrix
    row_step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>; // (rows, cols), packed as in the file
@group(0) @binding(2) var<storage, read_write> quants: array<u32>; // row groups
@group(0) @binding(3) var<storage, read_write> scales: array<atomic<u32>>; // row groups, all zero before
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>; // error^2, w^2, not finite, unused

var<workgroup> sh_sums: array<vec4<f32>, 64>;

struct Fit {
    error: f32,
    q: f32,
    qq: f32,
    w: f32,
    qw: f32,
}

fn value_bits(i: u32) -> u32 {
    if (SOURCE == 0u) {
        return source[i];
    }
    let half = (source[i / 2u] >> (16u * (i % 2u))) & 0xffffu;
    if (SOURCE == 2u) {
        return half << 16u;
    }
    return bitcast<u32>(unpack2x16float(half).x);
}

fn is_finite(i: u32) -> bool {
    if (SOURCE == 1u) {
        return ((source[i / 2u] >> (16u * (i % 2u))) & 0x7c00u) != 0x7c00u;
    }
    return (value_bits(i) & 0x7f800000u) != 0x7f800000u;
}

fn value(i: u32) -> f32 {
    return bitcast<f32>(select(0u, value_bits(i), is_finite(i)));
}

// f16 bits of a number, rounded to nearest even by integers: pack2x16float may round as it likes.
fn half_bits(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) {
        return sign | 0x7c00u;
    }
    if (magnitude >= 0x38800000u) {
        return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
    }
    let shift = 126u - (magnitude >> 23u);
    if (shift > 24u) {
        return sign;
    }
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let kept = mantissa >> shift;
    let rest = mantissa - (kept << shift);
    let half = 1u << (shift - 1u);
    return sign | (kept + u32(rest > half || (rest == half && (kept & 1u) == 1u)));
}

fn half_value(bits: u32) -> f32 {
    return unpack2x16float(bits).x;
}

fn quant(w: f32, inverse: f32, low: f32) -> f32 {
    let most = select(127.0, 15.0, BITS == 4u);
    let least = select(-127.0, 0.0, BITS == 4u);
    return clamp(floor((w - low) * inverse + 0.5), least, most);
}

fn inverse_of(scale: f32) -> f32 {
    return select(0.0, 1.0 / scale, scale != 0.0);
}

fn try_fit(first: u32, scale: f32, low: f32) -> Fit {
    var fit = Fit(0.0, 0.0, 0.0, 0.0, 0.0);
    let inverse = inverse_of(scale);
    for (var i = 0u; i < 32u; i += 1u) {
        let w = value(first + i);
        let q = quant(w, inverse, low);
        let miss = scale * q + low - w;
        fit.error += miss * miss;
        fit.q += q;
        fit.qq += q * q;
        fit.w += w;
        fit.qw += q * w;
    }
    return fit;
}

fn quantize_block(row: u32, block: u32) -> vec4<f32> {
    let first = ((params.skipped_rows + row) * params.blocks + block) * 32u;
    var low = value(first);
    var high = low;
    var squares = 0.0;
    var wrong = 0.0;
    for (var i = 0u; i < 32u; i += 1u) {
        let w = value(first + i);
        low = min(low, w);
        high = max(high, w);
        squares += w * w;
        wrong += f32(!is_finite(first + i));
    }
    var scale_bits = half_bits(max(abs(low), abs(high)) / 127.0);
    var low_bits = 0u;
    if (BITS == 4u) {
        scale_bits = half_bits((high - low) / 15.0);
        low_bits = half_bits(low);
    }
    wrong += f32((scale_bits & 0x7c00u) == 0x7c00u || (low_bits & 0x7c00u) == 0x7c00u);
    var fit = try_fit(first, half_value(scale_bits), half_value(low_bits));
    if (BITS == 4u) {
        var last = fit;
        for (var turn = 0u; turn < 2u; turn += 1u) {
            let spread = 32.0 * last.qq - last.q * last.q;
            if (spread > 0.0) {
                let scale = (32.0 * last.qw - last.q * last.w) / spread;
                let new_scale = half_bits(scale);
                let new_low = half_bits((last.w - scale * last.q) / 32.0);
                last = try_fit(first, half_value(new_scale), half_value(new_low));
                if (last.error < fit.error) {
                    fit = last;
                    scale_bits = new_scale;
                    low_bits = new_low;
                }
            }
        }
    }
    let scale = half_value(scale_bits);
    let base = half_value(low_bits);
    let target_row = params.first_row + row * params.row_step;
    let at = first_block(target_row, params.blocks) + block * ROW_GROUP;
    if (BITS == 4u) {
        atomicStore(&scales[at], scale_bits | (low_bits << 16u));
    } else {
        // Two blocks share a word, which is zero before: neighbouring rows may write it at once.
        atomicOr(&scales[at / 2u], scale_bits << (16u * (at % 2u)));
    }
    let inverse = inverse_of(scale);
    for (var word = 0u; word < BITS; word += 1u) {
        var bits = 0u;
        for (var i = 0u; i < 32u / BITS; i += 1u) {
            let column = select((word / 4u) * 16u, 0u, BITS == 4u) + 4u * i + word % 4u;
            let q = quant(value(first + column), inverse, base);
            bits |= u32(i32(q) + select(128, 0, BITS == 4u)) << (BITS * i);
        }
        quants[at * BITS + word] = bits;
    }
    return vec4<f32>(fit.error, squares, wrong, 0.0);
}

@compute @workgroup_size(64)
fn main(
    @builtin(global_invocation_id) global_id: vec3<u32>,
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    var mine = vec4<f32>(0.0);
    if (global_id.x < params.rows * params.blocks) {
        mine = quantize_block(global_id.x / params.blocks, global_id.x % params.blocks);
    }
    sh_sums[local_index] = mine;
    workgroupBarrier();
    if (local_index == 0u) {
        var sum = vec4<f32>(0.0);
        for (var i = local_index; i < 64u; i += 1u) {
            sum += sh_sums[i];
        }
        sums[wg_id.x] += sum;
    }
}
