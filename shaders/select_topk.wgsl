// select_topk: the candidates that each KV head keeps: those that rank highest, in ascending order.
//
//   kept[base[h] + i] = i-th of the rows[h] highest of ranks[h, 0 .. length[h] + new_tokens), ascending
//   base[h] = sum_{g < h} rows[g]; ties go to the lower candidate
//
// Exact and the same on every device: scores are compared as integers. Four passes over the digits
// of the scores find the lowest one that is kept and how many more are equal to it than there is
// room for; then each invocation writes what is kept of its run of candidates.
// One workgroup per KV head.
// Dispatch: (KV heads, 1, 1).
// CPU twin: test/reference/select_topk.ts

#import rank

override WORKGROUP_SIZE: u32; // at least 16, at most 256, a multiple of 16

struct Params {
    new_tokens: u32, // staged rows of each head
    score_stride: u32, // elements from one head's scores to the next one's
    spare_rows: u32, // rows between one head's last new row and the next one's first
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> heads: array<vec4<u32>>; // (KV heads), (offset, length, rows, first)
@group(0) @binding(2) var<storage, read> ranks: array<u32>; // (KV heads, score_stride), bits of f32
@group(0) @binding(3) var<storage, read_write> kept: array<u32>; // (sum of rows)

const DIGIT_BITS: u32 = 8u;
const BINS: u32 = 256u;
const GROUPS: u32 = 16u;

var<workgroup> sh_bins: array<atomic<u32>, BINS>;
var<workgroup> sh_groups: array<u32, GROUPS>;
var<workgroup> sh_digit: vec2<u32>; // the digit, and how many are above it
var<workgroup> sh_above: array<u32, WORKGROUP_SIZE>;
var<workgroup> sh_equal: array<u32, WORKGROUP_SIZE>;
var<workgroup> sh_group_above: array<u32, GROUPS>;
var<workgroup> sh_group_equal: array<u32, GROUPS>;

// Of the candidates whose key starts with `prefix`: the next digit at which `rows` of them are
// reached from the top, and how many have a larger one.
fn find_digit(
    base: u32, candidates: u32, prefix: u32, shift: u32, rows: u32, local_index: u32,
) -> vec2<u32> {
    for (var bin = local_index; bin < BINS; bin += WORKGROUP_SIZE) {
        atomicStore(&sh_bins[bin], 0u);
    }
    workgroupBarrier();
    // Shifted by 8 once more in two steps: a shift by 32 is none.
    let wanted = (prefix >> shift) >> DIGIT_BITS;
    for (var j = local_index; j < candidates; j += WORKGROUP_SIZE) {
        let key = rank_key(ranks[base + j]) >> shift;
        if ((key >> DIGIT_BITS) == wanted) {
            atomicAdd(&sh_bins[key & (BINS - 1u)], 1u);
        }
    }
    workgroupBarrier();
    if (local_index < GROUPS) {
        var sum = 0u;
        for (var i = 0u; i < BINS / GROUPS; i += 1u) {
            sum += atomicLoad(&sh_bins[local_index * (BINS / GROUPS) + i]);
        }
        sh_groups[local_index] = sum;
    }
    workgroupBarrier();
    if (local_index == 0u) {
        var above = 0u;
        var group = GROUPS - 1u;
        while (group > 0u && above + sh_groups[group] < rows) {
            above += sh_groups[group];
            group -= 1u;
        }
        var digit = group * (BINS / GROUPS) + BINS / GROUPS - 1u;
        while (digit > 0u && above + atomicLoad(&sh_bins[digit]) < rows) {
            above += atomicLoad(&sh_bins[digit]);
            digit -= 1u;
        }
        sh_digit = vec2<u32>(digit, above);
    }
    return workgroupUniformLoad(&sh_digit);
}

// How many candidates above the lowest key and equal to it the invocations before this one have.
fn count_before(above: u32, equal: u32, local_index: u32) -> vec2<u32> {
    let size = WORKGROUP_SIZE / GROUPS;
    sh_above[local_index] = above;
    sh_equal[local_index] = equal;
    workgroupBarrier();
    if (local_index < GROUPS) {
        var sum = vec2<u32>(0u);
        for (var i = local_index * size; i < (local_index + 1u) * size; i += 1u) {
            sum += vec2<u32>(sh_above[i], sh_equal[i]);
        }
        sh_group_above[local_index] = sum.x;
        sh_group_equal[local_index] = sum.y;
    }
    workgroupBarrier();
    let group = local_index / size;
    var before = vec2<u32>(0u);
    for (var i = 0u; i < group; i += 1u) {
        before += vec2<u32>(sh_group_above[i], sh_group_equal[i]);
    }
    for (var i = group * size; i < local_index; i += 1u) {
        before += vec2<u32>(sh_above[i], sh_equal[i]);
    }
    return before;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let head = heads[wg_id.x];
    let candidates = head.y + params.new_tokens;
    let base = wg_id.x * params.score_stride;

    var lowest = 0u;
    var room = head.z; // for candidates whose key starts like the lowest one
    for (var digits = 0u; digits < 32u; digits += DIGIT_BITS) {
        let shift = 24u - digits;
        let found = find_digit(base, candidates, lowest, shift, room, local_index);
        lowest |= found.x << shift;
        room -= found.y;
    }

    let run = (candidates + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
    let first = min(local_index * run, candidates);
    let end = min(first + run, candidates);
    var above = 0u;
    var equal = 0u;
    for (var j = first; j < end; j += 1u) {
        let key = rank_key(ranks[base + j]);
        above += u32(key > lowest);
        equal += u32(key == lowest);
    }
    let before = count_before(above, equal, local_index);
    var equal_before = before.y;
    var to = head.w - wg_id.x * params.spare_rows + before.x + min(before.y, room);
    for (var j = first; j < end; j += 1u) {
        let key = rank_key(ranks[base + j]);
        if (key > lowest || (key == lowest && equal_before < room)) {
            kept[to] = j;
            to += 1u;
        }
        equal_before += u32(key == lowest);
    }
}
