// matvec_rows: a linear layer for one token, for adapters that run on the CPU.
//
//   y[row_offset + n] (+)= rstd * sum_k W[n, k] * gain[k] * x[k] + bias; see shared/linear.wgsl
//
// A thread computes $R consecutive rows. BROADCAST: each lane of a subgroup (of 8; BROADCAST_4: of
// 4) loads its share of x and hands it to the others; else each thread loads all of x.
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
        // x_<half><i>: columns 16 half + 4i.. of x * gain, times raw_factor for raw_chunk.
        // x_sums: the sums of x * gain over the halves, for the weights' minima.
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
#unroll half 0 2
#unroll i 0 4
        let x_$half$i = quadBroadcast(own_$half, $i);
#end
#end
#else
        // Not subgroupAdd: lavapipe adds lane by lane, which took an eighth of the kernel's time.
        let pair_sum = own_sum_0 + subgroupShuffleXor(own_sum_0, 1u);
        let own_half = pair_sum + subgroupShuffleXor(pair_sum, 2u);
        let other_half = subgroupShuffleXor(own_half, 4u);
        let halves = vec2<f32>(own_half, other_half);
        let x_sums = select(halves, halves.yx, lane >= 4u);
#unroll half 0 2
#unroll i 0 4
        let x_$half$i = subgroupShuffle(own_0, $half * 4 + $i);
#end
#end
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
