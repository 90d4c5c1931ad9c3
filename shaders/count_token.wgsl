// count_token: counts the token that a step chose, for frequency and presence penalty.
//
//   counts[state.token] += 1
//
// A step after a stop token counts that one again; nothing reads the counts any more then.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/count_token.ts

#import state

struct Params {
    vocab_size: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> state: array<u32>; // (16)
@group(0) @binding(2) var<storage, read_write> counts: array<u32>; // (vocab_size)

@compute @workgroup_size(1)
fn main() {
    let token = state[STATE_TOKEN];
    if (token < params.vocab_size) {
        counts[token] += 1u;
    }
}
