// matmul_tile: a linear layer for many tokens, for GPUs.
//
//   y[t, row_offset + n] (+)= rstd[t] * sum_k W[n, k] * gain[k] * x[t, k] + bias; see shared/linear
//
// A workgroup of $THREADS threads computes a tile of $TILE rows x $TILE tokens. It goes along k in
// steps of $STEP columns: dequantises that part of W once, and with as much of x puts it transposed
// into workgroup memory, from where each thread multiplies $Q quads of rows with $Q quads of tokens
// in registers. A quad is four neighbours.
// Dispatch: (x, y, ceil(tokens / TILE)) with x * y >= ceil(rows / TILE).
// CPU twin: test/reference/matmul.ts

#import linear
#import weights

const QUADS: u32 = $TILEu / 4u; // of rows, and of tokens, in the tile
const SIDE: u32 = QUADS / $Qu; // threads along the rows, and along the tokens
const CHUNKS: u32 = $STEPu / 4u; // of four columns, in a step
const UNITS: u32 = QUADS * CHUNKS; // of 4 x 4 elements, in a step of W, and of x

var<workgroup> sh_w: array<vec4<f32>, $STEPu * QUADS>; // (STEP, quads of rows)
var<workgroup> sh_x: array<vec4<f32>, $STEPu * QUADS>; // (STEP, quads of tokens)

fn load_w(row: u32, column_chunk: u32) -> vec4<f32> {
    let first = first_block(min(row, params.rows - 1u), params.cols / 32u);
    return load_chunk(first + column_chunk / 8u * ROW_GROUP, column_chunk % 8u);
}

fn load_x(token: u32, column_chunk: u32) -> vec4<f32> {
    let start = params.x_offset + min(token, params.tokens - 1u) * params.x_stride;
    return x[start / 4u + column_chunk];
}

@compute @workgroup_size($THREADS)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(num_workgroups) num_wg: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let tile_row = (wg_id.y * num_wg.x + wg_id.x) * $TILEu;
    let tile_token = wg_id.z * $TILEu;
    let row_thread = local_index % SIDE;
    let token_thread = local_index / SIDE;
#unroll j 0 Q
#unroll c 0 4
#unroll i 0 Q
    var sum_$j$c$i = vec4<f32>(); // of token c of quad j, for the rows of quad i
#end
#end
#end
    // QUADS divides THREADS: a thread that stages x always stages the same quad of tokens.
    let staged_quad = local_index % QUADS;
    var squares = vec4<f32>();

    for (var column = 0u; column < params.cols; column += $STEPu) {
        for (var unit = local_index; unit < 2u * UNITS; unit += $THREADSu) {
            let chunk = (unit / QUADS) % CHUNKS;
            let at = chunk * 4u * QUADS + staged_quad;
            let column_chunk = column / 4u + chunk;
            if (unit < UNITS) {
                let row = tile_row + staged_quad * 4u;
                let w = transpose(mat4x4<f32>(
                    load_w(row, column_chunk),
                    load_w(row + 1u, column_chunk),
                    load_w(row + 2u, column_chunk),
                    load_w(row + 3u, column_chunk),
                ));
#unroll k 0 4
                sh_w[at + $k * QUADS] = w[$k];
#end
            } else {
                let token = tile_token + staged_quad * 4u;
                let loaded = transpose(mat4x4<f32>(
                    load_x(token, column_chunk),
                    load_x(token + 1u, column_chunk),
                    load_x(token + 2u, column_chunk),
                    load_x(token + 3u, column_chunk),
                ));
#if NORM
                let gains = gain[column_chunk];
#unroll k 0 4
                squares += loaded[$k] * loaded[$k];
                sh_x[at + $k * QUADS] = loaded[$k] * gains[$k];
#end
#else
#unroll k 0 4
                sh_x[at + $k * QUADS] = loaded[$k];
#end
#endif
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < $STEPu; k += 1u) {
#unroll i 0 Q
            let w_$i = sh_w[k * QUADS + $i * SIDE + row_thread];
#end
#unroll j 0 Q
            let x_$j = sh_x[k * QUADS + $j * SIDE + token_thread];
#unroll c 0 4
#unroll i 0 Q
            sum_$j$c$i = fma(w_$i, vec4<f32>(x_$j[$c]), sum_$j$c$i);
#end
#end
#end
        }
        workgroupBarrier();
    }

#if NORM
    sh_x[local_index] = squares;
    workgroupBarrier();
#endif
#unroll j 0 Q
    {
        let quad = $j * SIDE + token_thread;
#if NORM
        var all_squares = vec4<f32>();
        for (var i = quad; i < $THREADSu; i += QUADS) {
            all_squares += sh_x[i];
        }
#endif
#unroll c 0 4
        {
            let token = tile_token + quad * 4u + $c;
#if NORM
            let rstd = reciprocal_rms(all_squares[$c]);
#else
            let rstd = 1.0;
#endif
#unroll i 0 Q
            {
                let row = tile_row + ($i * SIDE + row_thread) * 4u;
                let sums = sum_$j$c$i * rstd;
#if GATED
                write_pair(token, row, sums.x, sums.y);
                write_pair(token, row + 2u, sums.z, sums.w);
#else
#unroll e 0 4
                write_row(token, row + $e, sums[$e]);
#end
#endif
            }
#end
        }
#end
    }
#end
}
