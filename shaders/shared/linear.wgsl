// linear: what every linear-layer kernel takes and how it writes its results.
//
//   y[t, row_offset + n] (+)= rstd[t] * sum_k W[n, k] * gain[k] * x[t, k] + bias[row_offset + n]
//   NORM: rstd[t] = 1 / sqrt(mean_k x[t, k]^2 + eps), else rstd and gain are 1
//   BIAS, RESIDUAL (+=); GATED: rows 2i (gate) and 2i + 1 (up) give y[t, i] = silu(gate) * up
//
// W is one slice of rows of the whole matrix: see weights_q4, weights_q8, weights_f16.

struct Params {
    rows: u32, // of the slice
    cols: u32, // a multiple of 32
    tokens: u32,
    x_offset: u32, // element of x[0, 0]; a multiple of 4
    x_stride: u32, // elements from one token's x to the next; a multiple of 4
    y_offset: u32, // element of y[0, 0]
    y_stride: u32, // elements from one token's y to the next
    row_offset: u32, // row of the whole matrix that the slice starts with
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>; // (tokens, cols / 4)
#if NORM
@group(0) @binding(4) var<storage, read> gain: array<vec4<f32>>; // (cols / 4)
#endif
#if BIAS
@group(0) @binding(5) var<storage, read> bias: array<f32>; // (rows of the whole matrix)
#endif
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (tokens, rows of the whole matrix)

fn reciprocal_rms(squares: f32) -> f32 {
    return 1.0 / sqrt(squares / f32(params.cols) + params.eps);
}

fn write(token: u32, index: u32, value: f32) {
    let i = params.y_offset + token * params.y_stride + index;
#if RESIDUAL
    y[i] += value;
#else
    y[i] = value;
#endif
}

// Rows and tokens past the end are computed like the last ones, and dropped here.
fn write_row(token: u32, row: u32, sum: f32) {
    if (token < params.tokens && row < params.rows) {
#if BIAS
        write(token, params.row_offset + row, sum + bias[params.row_offset + row]);
#else
        write(token, params.row_offset + row, sum);
#endif
    }
}

#if GATED
// `row` is even: the gate's. exp of more than 88 would overflow.
fn write_pair(token: u32, row: u32, gate: f32, up: f32) {
    if (token < params.tokens && row < params.rows) {
        let silu = gate / (1.0 + exp(-max(gate, -80.0)));
        write(token, (params.row_offset + row) / 2u, silu * up);
    }
}
#endif
