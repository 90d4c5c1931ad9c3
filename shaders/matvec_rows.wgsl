// matvec_rows: a linear layer for one token, for adapters that run on the CPU.
//
//   y[row_offset + n] (+)= rstd * sum_k W[n, k] * gain[k] * x[k] + bias; see shared/linear.wgsl
//
// A thread computes $R consecutive rows. BROADCAST: each lane of a subgroup (of 8; BROADCAST_4: of
// 4) loads its share of x and all get it by subgroupBroadcast; else each thread loads all of x.
// LANE_PAIRS: R = 1 and GATED, so that up comes from the neighbour.
// Dispatch: (x, y, 1) with x * y >= ceil(rows / (R * WORKGROUP_SIZE)).
// CPU twin: test/reference/matmul.ts

#if BROADCAST
enable subgroups;
#endif
#import linear
#import weights

override WORKGROUP_SIZE: u32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
#if BROADCAST
    @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
    let blocks = params.cols / 32u;
    let x_base = params.x_offset / 4u;
    let first_row = ((wg_id.y * num_wg.x + wg_id.x) * WORKGROUP_SIZE + local_index) * $Ru;
#unroll r 0 R
    let base_$r = first_block(min(first_row + $r, params.rows - 1u), blocks);
    var sum_$r = 0.0;
#end
    var squares = 0.0;
#if BROADCAST
#unroll load 0 LOADS
    let factor_$load = raw_factor($load * 4 + lane);
#end
#endif

    for (var b = 0u; b < blocks; b += 1u) {
        // x_<half>…: x * gain * raw_factor for columns 0..15 and 16..31 of the block;
        // x_sums: the sums of x * gain over each half, which the weights' minima are taken times.
#if BROADCAST
#unroll load 0 LOADS
        var own_$load = x[x_base + b * 8u + $load * 4 + lane];
#if NORM
        squares += dot(own_$load, own_$load);
        own_$load *= gain[b * 8u + $load * 4 + lane];
#endif
        let own_sum_$load = dot(own_$load, vec4<f32>(1.0));
        own_$load *= factor_$load;
#end
#if BROADCAST_4
        let x_sums = vec2<f32>(subgroupAdd(own_sum_0), subgroupAdd(own_sum_1));
#else
        let own_1 = own_0;
        // Not subgroupAdd: lavapipe adds lane by lane, which takes an eighth of the kernel's time.
        let pair_sum = own_sum_0 + subgroupShuffleXor(own_sum_0, 1u);
        let half_sum = pair_sum + subgroupShuffleXor(pair_sum, 2u);
        let other_sum = subgroupShuffleXor(half_sum, 4u);
        let x_sums = select(vec2<f32>(half_sum, other_sum), vec2<f32>(other_sum, half_sum), lane >= 4u);
#endif
#else
        var x_sums = vec2<f32>();
#unroll half 0 2
#unroll i 0 4
        var x_$half$i = x[x_base + b * 8u + $half * 4 + $i];
#if NORM
        squares += dot(x_$half$i, x_$half$i);
        x_$half$i *= gain[b * 8u + $half * 4 + $i];
#endif
        x_sums[$half] += dot(x_$half$i, vec4<f32>(1.0));
        x_$half$i *= raw_factor($half * 4 + $i);
#end
#end
#endif
#if BROADCAST
#unroll half 0 2
#unroll i 0 4
#if BROADCAST_4
        let x_$half$i = quadBroadcast(own_$half, $i);
#else
        let x_$half$i = subgroupShuffle(own_$half, $half * 4 + $i);
#endif
#end
#end
#endif
#unroll r 0 R
        {
            let block = load_block(base_$r + b * ROW_GROUP);
#unroll half 0 2
            var part_$half = 0.0;
#unroll i 0 4
            part_$half += dot(raw_chunk(block, $half * 4 + $i), x_$half$i);
#end
            sum_$r += block_scale(block, $half) * part_$half
                + block_min(block, $half) * x_sums[$half];
#end
        }
#end
    }

#if NORM
#if BROADCAST
    squares = subgroupAdd(squares);
#endif
    let rstd = reciprocal_rms(squares);
#else
    let rstd = 1.0;
#endif
#if LANE_PAIRS
    let up = subgroupShuffleXor(sum_0 * rstd, 1u);
    if ((first_row & 1u) == 0u) {
        write_pair(0u, first_row, sum_0 * rstd, up);
    }
#else
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
#endif
}
