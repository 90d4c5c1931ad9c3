// The best (key, id) of a workgroup: the largest key, of equal keys the lower id.
// The kernel declares WORKGROUP_SIZE, a multiple of 16.

const BEST_GROUPS: u32 = 16u;

var<workgroup> sh_best: array<vec2<u32>, WORKGROUP_SIZE>;
var<workgroup> sh_group_best: array<vec2<u32>, BEST_GROUPS>;

fn better_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

// Invocation 0 gets the result. Two levels, not a tree: on a CPU adapter a barrier costs as much as
// a hundred loads.
fn workgroup_best(local: u32, mine: vec2<u32>) -> vec2<u32> {
    sh_best[local] = mine;
    workgroupBarrier();
    if (local < BEST_GROUPS) {
        let size = WORKGROUP_SIZE / BEST_GROUPS;
        var best = sh_best[local * size];
        for (var i = local * size + 1u; i < (local + 1u) * size; i += 1u) {
            best = better_of(best, sh_best[i]);
        }
        sh_group_best[local] = best;
    }
    workgroupBarrier();
    var best = mine;
    if (local == 0u) {
        for (var i = local; i < BEST_GROUPS; i += 1u) {
            best = better_of(best, sh_group_best[i]);
        }
    }
    return best;
}
