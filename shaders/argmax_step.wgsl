// argmax_step: greedy sampling and the end of the step.
//
//   chosen = id of the best of partials; ties to the lower id; TOKEN_UNSOUND if it is no number
//   tokens[state.step % ring] = chosen, or TOKEN_SKIPPED if the state was done
//   state: step + 1; if it was not done: position + advance, token = chosen, done if a stop id
//   table[i].length += advance for i < table_count, if it was not done
//
// One workgroup does it all.
// Dispatch: (1, 1, 1).
// CPU twin: test/reference/finish_step.ts

#import best_partial
#import finish_step

override WORKGROUP_SIZE: u32 = 256u;

struct Params {
    table_count: u32, // heads of all layers
    advance: u32, // rows that the forward before appended and nobody counted: 1 in decode, else 0
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>; // (parts) key, id
@group(0) @binding(2) var<storage, read> stop_ids: array<u32>; // count, then so many ids
@group(0) @binding(3) var<storage, read_write> state: array<u32>; // (16)
@group(0) @binding(4) var<storage, read_write> table: array<vec4<u32>>; // (layers, KV heads)
@group(0) @binding(5) var<storage, read_write> tokens: array<u32>; // (ring)
@group(0) @binding(6) var<storage, read_write> seen: array<u32>; // (vocab_size / 32) bits

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_id) local_id: vec3<u32>) {
    let was_done = state[STATE_DONE] != 0u;
    let best = best_partial(local_id.x);
    if (local_id.x == 0u) {
        finish_step(select(TOKEN_UNSOUND, best.y, is_sound_maximum(best.x)), was_done);
    }
    advance_lengths(local_id.x, was_done);
}
