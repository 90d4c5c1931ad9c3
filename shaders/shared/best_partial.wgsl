// The best of what argmax_partial wrote. The kernel declares WORKGROUP_SIZE and partials.

#import best_of
#import order_key

// Invocation 0 gets the result.
fn best_partial(local: u32) -> vec2<u32> {
    var best = vec2<u32>(KEY_NONE, 0xffffffffu);
    for (var i = local; i < arrayLength(&partials); i += WORKGROUP_SIZE) {
        best = better_of(best, partials[i]);
    }
    return workgroup_best(local, best);
}
