// probe_read: how fast the adapter reads a large buffer; adds up what it reads, so that it can be checked.
//
//   sums[t] = sum of the components of the vec4s vectors of thread t, mod 2^32
//
// The vectors of a thread are neighbours (contiguous = 1: CPU adapters like that), or those of neighbouring threads
// are (0: GPUs do).
// Dispatch: (threads / WORKGROUP_SIZE, 1, 1), where the data holds threads * vec4s vectors.
// CPU twin: test/reference/probe_read.ts

override WORKGROUP_SIZE: u32 = 64u;

struct Params {
    threads: u32,
    vec4s: u32,      // of a thread; a multiple of 8
    contiguous: u32, // 0 or 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>; // (threads * vec4s)
@group(0) @binding(2) var<storage, read_write> sums: array<u32>; // (threads)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let thread = global_id.x;
    if (thread < params.threads) {
        let stride = select(params.threads, 1u, params.contiguous == 1u);
        var at = select(thread, thread * params.vec4s, params.contiguous == 1u);
        var sum = vec4<u32>();
        // Eight loads in flight; more in one block are slower on lavapipe, whose compiler would unroll a loop of
        // known length.
        for (var i = 0u; i < params.vec4s; i += 8u) {
#unroll k 0 8
            sum += data[at + $k * stride];
#end
            at += 8u * stride;
        }
        sums[thread] = sum.x + sum.y + sum.z + sum.w;
    }
}
