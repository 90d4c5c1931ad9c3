// Where a running sum over the workgroup's invocations crosses a target. The sums are pairs
// (count, mass); counts are exact up to 2^24. The kernel declares WORKGROUP_SIZE, a multiple of 16.

const SUM_GROUPS: u32 = 16u;

struct Crossing {
    at: u32, // index of the summand that reaches the target, or the last one that is not 0
    is_reached: u32,
    above: vec2<f32>, // sum of everything before it
}

var<workgroup> sh_sum: array<vec2<f32>, WORKGROUP_SIZE>;
var<workgroup> sh_group_sum: array<vec2<f32>, SUM_GROUPS>;

// Two barriers; then invocation 0 may call the functions below.
fn share_sums(local: u32, mine: vec2<f32>) {
    sh_sum[local] = mine;
    workgroupBarrier();
    let size = WORKGROUP_SIZE / SUM_GROUPS;
    if (local < SUM_GROUPS) {
        var sum = vec2<f32>(0.0);
        for (var i = local * size; i < (local + 1u) * size; i += 1u) {
            sum += sh_sum[i];
        }
        sh_group_sum[local] = sum;
    }
    workgroupBarrier();
}

fn total_sum(local: u32) -> vec2<f32> {
    var sum = vec2<f32>(0.0);
    for (var i = local; i < SUM_GROUPS; i += 1u) {
        sum += sh_group_sum[i];
    }
    return sum;
}

// One summand: takes it as the crossing if the running sum reaches the target (> 0) with it.
fn try_crossing(
    found: ptr<function, Crossing>,
    running: ptr<function, vec2<f32>>,
    at: u32,
    value: vec2<f32>,
    by_mass: bool,
    goal: f32,
) {
    if ((*found).is_reached == 0u && value.x + value.y > 0.0) {
        let next = *running + value;
        let reached = select(next.x, next.y, by_mass) >= goal;
        *found = Crossing(at, u32(reached), *running);
        *running = next;
    }
}

// The invocation whose summand crosses the target; `above` is what came before the workgroup's.
fn find_crossing(local: u32, above: vec2<f32>, by_mass: bool, goal: f32) -> Crossing {
    var running = above;
    var group = Crossing(0u, 0u, above);
    for (var i = local; i < SUM_GROUPS; i += 1u) {
        try_crossing(&group, &running, i, sh_group_sum[i], by_mass, goal);
    }
    let size = WORKGROUP_SIZE / SUM_GROUPS;
    running = group.above;
    var found = Crossing(0u, 0u, above);
    for (var i = group.at * size; i < (group.at + 1u) * size; i += 1u) {
        try_crossing(&found, &running, i, sh_sum[i], by_mass, goal);
    }
    // Rounding may let the parts of a group fall just short of the group; the group decides.
    found.is_reached = group.is_reached;
    return found;
}
