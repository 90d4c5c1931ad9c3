// matvec_lanes: a linear layer for one token, for GPUs.
//
//   y[row_offset + n] (+)= rstd * sum_k W[n, k] * gain[k] * x[k] + bias; see shared/linear.wgsl
//
// A workgroup of 8 * $LANES threads computes $GROUPS groups of 8 rows. LANES threads take a row's
// blocks in turn; 4 neighbouring threads are 4 lanes of one row, the next 4 those of the next row,
// so that 32 threads read one run of memory. x is staged in workgroup memory, 2048 columns at a
// time. SUBGROUPS (of at least 4): the sums of 4 lanes need no workgroup memory.
// Dispatch: (x, y, 1) with x * y >= ceil(rows / (8 * GROUPS)).
// CPU twin: test/reference/matmul.ts

#if SUBGROUPS
enable subgroups;
#endif
#import linear
#import weights

const WORKGROUP_SIZE: u32 = 8u * $LANESu;
const WORKGROUP_ROWS: u32 = 8u * $GROUPSu;
const TILE_BLOCKS: u32 = 64u;
// One more than TILE_BLOCKS, so that the chunks of a block lie in different banks.
const CHUNK_STRIDE: u32 = 65u;
#if SUBGROUPS
const PARTS: u32 = $LANESu / 4u; // of a row's sum, that meet in workgroup memory
const SQUARES: u32 = WORKGROUP_SIZE / 4u;
#else
const PARTS: u32 = $LANESu;
const SQUARES: u32 = WORKGROUP_SIZE;
#endif

// Chunk i of block b, times gain and raw_factor, at i * CHUNK_STRIDE + b.
var<workgroup> sh_x: array<vec4<f32>, 8u * CHUNK_STRIDE>;
var<workgroup> sh_sums: array<f32, PARTS * WORKGROUP_ROWS>; // (PARTS, rows)
var<workgroup> sh_squares: array<f32, SQUARES>;

fn row_sum(row: u32) -> f32 {
    var sum = 0.0;
    for (var part = 0u; part < PARTS; part += 1u) {
        sum += sh_sums[part * WORKGROUP_ROWS + row];
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let blocks = params.cols / 32u;
    let x_base = params.x_offset / 4u;
    let row_in_group = (local_index / 4u) % 8u;
    let lane = local_index % 4u + (local_index / 32u) * 4u;
    let first_row = (wg_id.y * num_wg.x + wg_id.x) * WORKGROUP_ROWS;
#unroll g 0 GROUPS
    let base_$g =
        first_block(min(first_row + $g * 8u + row_in_group, params.rows - 1u), blocks);
    var sum_$g = 0.0;
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
#unroll g 0 GROUPS
            let block_$g = load_block(base_$g + (tile + b) * ROW_GROUP);
#end
#unroll half 0 2
#unroll g 0 GROUPS
            var part_$half$g = 0.0;
#end
            var x_sum_$half = 0.0;
#unroll i 0 4
            {
                let x_i = sh_x[($half * 4 + $i) * CHUNK_STRIDE + b];
                x_sum_$half += dot(x_i, vec4<f32>(1.0 / raw_factor($half * 4 + $i)));
#unroll g 0 GROUPS
                part_$half$g += dot(raw_chunk(block_$g, $half * 4 + $i), x_i);
#end
            }
#end
#unroll g 0 GROUPS
            sum_$g += block_scale(block_$g, $half) * part_$half$g
                + block_min(block_$g, $half) * x_sum_$half;
#end
#end
        }
    }

#if SUBGROUPS
#unroll g 0 GROUPS
    sum_$g += subgroupShuffleXor(sum_$g, 1u);
    sum_$g += subgroupShuffleXor(sum_$g, 2u);
#end
    squares += subgroupShuffleXor(squares, 1u);
    squares += subgroupShuffleXor(squares, 2u);
    if (local_index % 4u == 0u) {
#unroll g 0 GROUPS
        sh_sums[lane / 4u * WORKGROUP_ROWS + $g * 8u + row_in_group] = sum_$g;
#end
        sh_squares[local_index / 4u] = squares;
    }
#else
#unroll g 0 GROUPS
    sh_sums[lane * WORKGROUP_ROWS + $g * 8u + row_in_group] = sum_$g;
#end
    sh_squares[local_index] = squares;
#endif
    workgroupBarrier();

    if (local_index < WORKGROUP_ROWS) {
#if NORM
        var all_squares = 0.0;
        for (var i = 0u; i < SQUARES; i += 1u) {
            all_squares += sh_squares[i];
        }
        let rstd = reciprocal_rms(all_squares);
#else
        let rstd = 1.0;
#endif
#if GATED
        if (local_index % 2u == 0u) {
            let gate = row_sum(local_index) * rstd;
            write_pair(0u, first_row + local_index, gate, row_sum(local_index + 1u) * rstd);
        }
#else
        write_row(0u, first_row + local_index, row_sum(local_index) * rstd);
#endif
    }
}
