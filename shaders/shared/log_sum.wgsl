// Sums over a workgroup, and their logarithms. The kernel declares WORKGROUP_SIZE, a multiple of 16.

#import best_of

var<workgroup> sh_sum: array<f32, WORKGROUP_SIZE>;
var<workgroup> sh_group_sum: array<f32, BEST_GROUPS>;

// The sum over the workgroup; invocation 0 gets it.
fn workgroup_sum(local: u32, mine: f32) -> f32 {
    sh_sum[local] = mine;
    workgroupBarrier();
    let size = WORKGROUP_SIZE / BEST_GROUPS;
    if (local < BEST_GROUPS) {
        var sum = 0.0;
        for (var i = 0u; i < size; i += 1u) {
            sum += sh_sum[local * size + i];
        }
        sh_group_sum[local] = sum;
    }
    workgroupBarrier();
    var sum = 0.0;
    if (local == 0u) {
        for (var i = 0u; i < BEST_GROUPS; i += 1u) {
            sum += sh_group_sum[i];
        }
    }
    return sum;
}

// log(1 + x) for x >= 0. Built-in log may be off by 2^-21 between 0.5 and 2; below 1 this is
// 2 atanh(x / (2 + x)) instead.
fn log_one_plus(x: f32) -> f32 {
    let z = x / (2.0 + x);
    let zz = z * z;
    let series = 2.0 * z * (1.0 + zz * (1.0 / 3.0 + zz * (1.0 / 5.0 + zz * (1.0 / 7.0
        + zz * (1.0 / 9.0 + zz * (1.0 / 11.0 + zz / 13.0))))));
    return select(log(1.0 + x), series, x < 1.0);
}
