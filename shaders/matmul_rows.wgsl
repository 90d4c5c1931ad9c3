// matmul_rows: a linear layer for many tokens, for adapters that run on the CPU.
//
//   y[t, row_offset + n] (+)= rstd[t] * sum_k W[n, k] * gain[k] * x[t, k] + bias; see shared/linear
//
// A thread computes $R consecutive rows for $T consecutive tokens in registers: no workgroup
// memory, no barriers. x is handed around in subgroups or loaded by each thread, as in matvec_rows.
// Dispatch: (x, y, ceil(tokens / T)) with x * y >= ceil(rows / (R * WORKGROUP_SIZE)).
// CPU twin: test/reference/matmul.ts

#if BROADCAST
enable subgroups;
#endif
#import linear
#import weights

override WORKGROUP_SIZE: u32;

// In a loop, and one whose length compilers can't know and unroll: drivers for CPUs make branches of
// each lane's store, which for every sum apart takes as long to compile as the rest of the kernel.
fn write_sums(first_token: u32, first_row: u32, sums: ptr<function, array<f32, $R * $T>>) {
    let count = $R * $Tu + (params.rows >> 31u);
#if GATED
    for (var i = 0u; i < count; i += 2u) {
        write_pair(first_token + i / $Ru, first_row + i % $Ru, sums[i], sums[i + 1u]);
    }
#else
    for (var i = 0u; i < count; i += 1u) {
        write_row(first_token + i / $Ru, first_row + i % $Ru, sums[i]);
    }
#endif
}

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
    let first_token = wg_id.z * $Tu;
    let first_row = ((wg_id.y * num_wg.x + wg_id.x) * WORKGROUP_SIZE + local_index) * $Ru;
#unroll r 0 R
    let base_$r = first_block(min(first_row + $r, params.rows - 1u), blocks);
#end
#unroll t 0 T
    let x_base_$t =
        (params.x_offset + min(first_token + $t, params.tokens - 1u) * params.x_stride) / 4u;
    var squares_$t = 0.0;
#unroll r 0 R
    var sum_$t$r = 0.0;
#end
#end

    for (var b = 0u; b < blocks; b += 1u) {
#unroll r 0 R
        let block_$r = load_block(base_$r + b * ROW_GROUP);
#end
#if BROADCAST
#unroll load 0 LOADS
#if NORM
        let gain_$load = gain[b * 8u + $load * 4 + lane];
#endif
#unroll t 0 T
        var x_$load$t = x[x_base_$t + b * 8u + $load * 4 + lane];
#if NORM
        squares_$t += dot(x_$load$t, x_$load$t);
        x_$load$t *= gain_$load;
#endif
#end
#end
#endif
#unroll half 0 2
#unroll i 0 4
        {
#unroll r 0 R
            let w_$r = fma(
                raw_chunk(block_$r, $half * 4 + $i),
                vec4<f32>(block_scale(block_$r, $half) * raw_factor($half * 4 + $i)),
                vec4<f32>(block_min(block_$r, $half)),
            );
#end
#if BROADCAST
#unroll t 0 T
#if BROADCAST_4
            let x_i$t = quadBroadcast(x_$half$t, $i);
#else
            let x_i$t = subgroupShuffle(x_0$t, $half * 4 + $i);
#endif
#end
#else
            let chunk = b * 8u + $half * 4 + $i;
#if NORM
            let gain_i = gain[chunk];
#endif
#unroll t 0 T
            var x_i$t = x[x_base_$t + chunk];
#if NORM
            squares_$t += dot(x_i$t, x_i$t);
            x_i$t *= gain_i;
#endif
#end
#endif
#unroll t 0 T
#unroll r 0 R
            sum_$t$r += dot(w_$r, x_i$t);
#end
#end
        }
#end
#end
    }

    var sums: array<f32, $R * $T>; // (T, R)
#unroll t 0 T
    {
#if NORM
#if BROADCAST
        let rstd = reciprocal_rms(subgroupAdd(squares_$t));
#else
        let rstd = reciprocal_rms(squares_$t);
#endif
#else
        let rstd = 1.0;
#endif
#unroll r 0 R
        sums[$t * $R + $r] = sum_$t$r * rstd;
#end
    }
#end
    write_sums(first_token, first_row, &sums);
}
