// The end of a step: what the chosen token changes. The kernel declares stop_ids, state, table,
// tokens, seen and the params table_count and advance.

#import state

const TOKEN_SKIPPED: u32 = 0xffffffffu; // in `tokens`: the step began after a stop token
const TOKEN_UNSOUND: u32 = 0xfffffffeu; // chosen: the logits held NaN or infinity

fn is_stop(id: u32) -> bool {
    var found = false;
    for (var i = 1u; i <= stop_ids[0]; i += 1u) {
        found = found || stop_ids[i] == id;
    }
    return found;
}

// By one invocation, after all have read `state`.
fn finish_step(chosen: u32, was_done: bool) {
    let step = state[STATE_STEP];
    tokens[step % arrayLength(&tokens)] = select(chosen, TOKEN_SKIPPED, was_done);
    state[STATE_STEP] = step + 1u;
    if (!was_done) {
        state[STATE_POSITION] += params.advance;
        if (chosen == TOKEN_UNSOUND) {
            state[STATE_DONE] = 1u;
        } else {
            state[STATE_TOKEN] = chosen;
            state[STATE_DONE] = u32(is_stop(chosen));
            seen[chosen / 32u] |= 1u << (chosen % 32u);
        }
    }
}

// By every invocation: the row that this step's forward appended to each head counts from now on.
fn advance_lengths(local: u32, was_done: bool) {
    if (!was_done && params.advance != 0u) {
        for (var i = local; i < params.table_count; i += WORKGROUP_SIZE) {
            table[i].y += params.advance;
        }
    }
}
