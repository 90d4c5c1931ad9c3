// probe_fma: how fast the adapter multiplies and adds; the result depends on every step, so that it can be checked.
//
//   twelve numbers per thread: v_c = (t mod 64) + c, then ROUNDS * 64 times v_c = v_c * factor + addend
//   out[t] = sum of v_c
//
// Twelve, because CPU adapters have 16 registers, and each number of a thread takes a whole one. A long straight body,
// because a loop's own work would be measured too.
// Dispatch: (threads / WORKGROUP_SIZE, 1, 1).
// CPU twin: test/reference/probe_fma.ts

override WORKGROUP_SIZE: u32 = 64u;
override ROUNDS: u32;

struct Params {
    factor: f32, // just under 1, so that rounding errors stay small
    addend: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // (threads)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let thread = global_id.x;
    if (thread < arrayLength(&out)) {
        let factor = params.factor;
        let addend = params.addend;
        let start = f32(thread % 64u);
#unroll c 0 12
        var v$c = start + $c.0;
#end
        for (var round = 0u; round < ROUNDS; round++) {
#unroll step 0 64
#unroll c 0 12
            v$c = fma(v$c, factor, addend);
#end
#end
        }
        out[thread] = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7)) + ((v8 + v9) + (v10 + v11));
    }
}
