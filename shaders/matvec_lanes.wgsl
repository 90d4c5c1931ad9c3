// matvec_lanes: a linear layer for one token, for GPUs.
//
//   y[row_offset + n] (+)= rstd * sum_k W[n, k] * gain[k] * x[k] + bias; see shared/linear.wgsl
//
// $LANES neighbouring threads share $R consecutive rows and take the blocks of a row in turn, so
// that they read consecutive memory. A workgroup stages x in workgroup memory, 2048 columns at a
// time. SUBGROUPS: LANES divides the subgroup size, and the sums are reduced without barriers.
// Dispatch: (x, y, 1) with x * y >= ceil(rows / (R * WORKGROUP / LANES)).
// CPU twin: test/reference/matmul.ts

#if SUBGROUPS
enable subgroups;
#endif
#import linear
#import weights

const WORKGROUP_SIZE: u32 = $WORKGROUPu;
const TILE_BLOCKS: u32 = 64u;
// One more than TILE_BLOCKS, so that the chunks of a block lie in different banks.
const CHUNK_STRIDE: u32 = 65u;
const GROUPS = WORKGROUP_SIZE / $LANESu;

// Chunk i of block b, times gain and raw_factor, at i * CHUNK_STRIDE + b.
var<workgroup> sh_x: array<vec4<f32>, 8u * CHUNK_STRIDE>;
var<workgroup> sh_squares: array<f32, WORKGROUP_SIZE>;
#if SUBGROUPS
#else
var<workgroup> sh_sums: array<array<f32, WORKGROUP_SIZE>, $R>;
#endif

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let blocks = params.cols / 32u;
    let x_base = params.x_offset / 4u;
    let lane = local_index % $LANESu;
    let group = (wg_id.y * num_wg.x + wg_id.x) * GROUPS + local_index / $LANESu;
    let first_row = group * $Ru;
#unroll r 0 R
    let base_$r = min(first_row + $r, params.rows - 1u) * blocks;
    var sum_$r = 0.0;
#end
    var squares = 0.0;

    for (var tile = 0u; tile < blocks; tile += TILE_BLOCKS) {
        let tile_blocks = min(TILE_BLOCKS, blocks - tile);
        workgroupBarrier();
        for (var c = local_index; c < tile_blocks * 8u; c += WORKGROUP_SIZE) {
            var value = x[x_base + tile * 8u + c];
#if NORM
            squares += dot(value, value);
            value *= gain[tile * 8u + c];
#endif
            sh_x[(c & 7u) * CHUNK_STRIDE + c / 8u] = value * raw_factor(c & 7u);
        }
        workgroupBarrier();
        for (var b = lane; b < tile_blocks; b += $LANESu) {
#unroll r 0 R
            let block_$r = load_block(base_$r + tile + b);
#end
#unroll half 0 2
#unroll r 0 R
            var part_$half$r = vec4<f32>();
#end
            var x_sum_$half = 0.0;
#unroll i 0 4
            {
                let x_i = sh_x[($half * 4 + $i) * CHUNK_STRIDE + b];
                x_sum_$half += dot(x_i, vec4<f32>(1.0 / raw_factor($half * 4 + $i)));
#unroll r 0 R
                part_$half$r = fma(raw_chunk(block_$r, $half * 4 + $i), x_i, part_$half$r);
#end
            }
#end
#unroll r 0 R
            sum_$r += block_scale(block_$r, $half) * dot(part_$half$r, vec4<f32>(1.0))
                + block_min(block_$r, $half) * x_sum_$half;
#end
#end
        }
    }

#if SUBGROUPS
    for (var d = $LANESu / 2u; d > 0u; d /= 2u) {
#unroll r 0 R
        sum_$r += subgroupShuffleXor(sum_$r, d);
#end
        squares += subgroupShuffleXor(squares, d);
    }
    sh_squares[local_index] = squares;
    workgroupBarrier();
#else
    sh_squares[local_index] = squares;
#unroll r 0 R
    sh_sums[$r][local_index] = sum_$r;
#end
    workgroupBarrier();
    for (var d = $LANESu / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_squares[local_index] += sh_squares[local_index + d];
#unroll r 0 R
            sh_sums[$r][local_index] += sh_sums[$r][local_index + d];
#end
        }
        workgroupBarrier();
    }
#unroll r 0 R
    sum_$r = sh_sums[$r][local_index];
#end
#endif

    if (lane == 0u) {
#if NORM
        var all_squares = 0.0;
        for (var g = 0u; g < GROUPS; g += 1u) {
            all_squares += sh_squares[g * $LANESu];
        }
        let rstd = reciprocal_rms(all_squares);
#else
        let rstd = 1.0;
#endif
        let sums = array<f32, $R>(
#unroll r 0 R
            sum_$r * rstd,
#end
        );
#if GATED
#unroll pair 0 PAIRS
        write_pair(0u, first_row + $pair * 2, sums[$pair * 2], sums[$pair * 2 + 1]);
#end
#else
#unroll r 0 R
        write_row(0u, first_row + $r, sums[$r]);
#end
#endif
    }
}
