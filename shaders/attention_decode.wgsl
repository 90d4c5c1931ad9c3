// attention_decode: attention of one token over the rows of each KV head's cache, split by rows.
//
//   logit[j] = scale * q . k[j], j over the rows of a split of 0 ..= length
//   partial_out[head, split, :] = sum_j exp(logit[j] - m) v[j], m = max_j logit[j]
//   partial_stats[head, split] = (m, l), l = sum_j exp(logit[j] - m); (NEG_BIG, 0) without rows
//   if there is one split: partial_out[head, :] is divided by l, so it is the result
//
// One workgroup takes a split of rows, $BLOCK at a time, for $HEADS query heads of one KV head, so
// that they share each key and value. Logits: 4 lanes along a row. Values: OCTETS lanes along a row.
// Dispatch: (splits, NUM_HEADS / HEADS, 1).
// CPU twin: test/reference/attention.ts

#import kv
#import softmax

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;

const THREADS: u32 = 128;
const OCTETS: u32 = $HEAD_DIM / 8;
const WORDS: u32 = $HEAD_DIM / 4;
const ROWS_AT_ONCE: u32 = THREADS / 4;
const VALUE_GROUPS: u32 = THREADS / OCTETS;
const QUADS: u32 = $BLOCK / 4;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    splits: u32,
    split_rows: u32, // rows of a split
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, NUM_KV_HEADS)
@group(0) @binding(2) var<storage, read> qkv: array<vec4<f32>>; // (heads, WORDS)
@group(0) @binding(3) var<storage, read> keys: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(4) var<storage, read> values: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(5) var<storage, read_write> partial_out: array<vec4<f32>>; // (NUM_HEADS, splits, WORDS)
@group(0) @binding(6) var<storage, read_write> partial_stats: array<vec2<f32>>; // (NUM_HEADS, splits)

var<workgroup> sh_query: array<vec4<f32>, $HEADS * WORDS>;
// Dot products over a lane's quarter of a row; at the end, the sums of the value groups.
var<workgroup> sh_part: array<f32, max($HEADS * $BLOCK * 4, THREADS * 8)>;
var<workgroup> sh_logit: array<f32, $HEADS * $BLOCK>;
var<workgroup> sh_max: array<f32, $HEADS * QUADS>;
var<workgroup> sh_sum: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_head = wg_id.y * $HEADSu;
    let kv_head = first_head / (NUM_HEADS / NUM_KV_HEADS);
    let entry = table[params.table_base + kv_head];
    let begin = wg_id.x * params.split_rows;
    let end = min(begin + params.split_rows, min(entry.y + 1u, entry.z));

    for (var i = thread; i < $HEADSu * WORDS; i += THREADS) {
        sh_query[i] = qkv[first_head * WORDS + i] * params.scale;
    }
    workgroupBarrier();

    let quarter = thread % 4u;
    let quad = thread % QUADS;
    let quad_head = thread / QUADS;
    let octet = thread % OCTETS;
    let value_group = thread / OCTETS;
#unroll h 0 HEADS
    var m_$h = NEG_BIG;
    var l_$h = 0.0;
    var low_$h = vec4<f32>();
    var high_$h = vec4<f32>();
#end

    for (var block = begin; block < end; block += $BLOCKu) {
        for (var row = thread / 4u; row < $BLOCKu; row += ROWS_AT_ONCE) {
            let source = (entry.x + min(block + row, end - 1u)) * OCTETS + quarter;
#unroll h 0 HEADS
            var part_$h = 0.0;
#end
#unroll i 0 QUARTER_OCTETS
            {
                let key = keys[source + 4u * $i];
                let low = kv_low(key);
                let high = kv_high(key);
                let word = 2u * (4u * $i + quarter);
#unroll h 0 HEADS
                part_$h += dot(sh_query[$h * WORDS + word], low)
                    + dot(sh_query[$h * WORDS + word + 1u], high);
#end
            }
#end
#unroll h 0 HEADS
            sh_part[($h * $BLOCKu + row) * 4u + quarter] = part_$h;
#end
        }
        workgroupBarrier();

        if (quad_head < $HEADSu) {
            var most = NEG_BIG;
            for (var i = 0u; i < 4u; i += 1u) {
                let cell = quad_head * $BLOCKu + quad * 4u + i;
                let sum = sh_part[cell * 4u] + sh_part[cell * 4u + 1u]
                    + sh_part[cell * 4u + 2u] + sh_part[cell * 4u + 3u];
                let logit = select(NEG_BIG, sum, block + quad * 4u + i < end);
                sh_logit[cell] = logit;
                most = max(most, logit);
            }
            sh_max[quad_head * QUADS + quad] = most;
        }
        workgroupBarrier();

#unroll h 0 HEADS
        {
            var most = m_$h;
            for (var i = 0u; i < QUADS; i += 1u) {
                most = max(most, sh_max[$h * QUADS + i]);
            }
            let shrink = exp(m_$h - most);
            m_$h = most;
            l_$h *= shrink;
            low_$h *= shrink;
            high_$h *= shrink;
        }
#end
        if (value_group < VALUE_GROUPS) {
            let count = min($BLOCKu, end - block);
            for (var row = value_group; row < count; row += VALUE_GROUPS) {
                let value = values[(entry.x + block + row) * OCTETS + octet];
                let low = kv_low(value);
                let high = kv_high(value);
#unroll h 0 HEADS
                {
                    let p = exp(sh_logit[$h * $BLOCKu + row] - m_$h);
                    l_$h += p;
                    low_$h += p * low;
                    high_$h += p * high;
                }
#end
            }
        }
    }

    // The sums of the value groups, in the order of the groups.
#unroll h 0 HEADS
    workgroupBarrier();
    for (var i = 0u; i < 4u; i += 1u) {
        sh_part[thread * 8u + i] = low_$h[i];
        sh_part[thread * 8u + 4u + i] = high_$h[i];
    }
    if (octet == 0u) {
        sh_sum[value_group] = l_$h;
    }
    workgroupBarrier();
    if (thread < WORDS) {
        var sum = vec4<f32>();
        var l = 0.0;
        for (var i = 0u; i < VALUE_GROUPS; i += 1u) {
            let cell = (i * WORDS + thread) * 4u;
            sum += vec4<f32>(
                sh_part[cell], sh_part[cell + 1u], sh_part[cell + 2u], sh_part[cell + 3u],
            );
            l += sh_sum[i];
        }
        let head = first_head + $h;
        if (params.splits == 1u) {
            sum /= l;
        }
        partial_out[(head * params.splits + wg_id.x) * WORDS + thread] = sum;
        if (thread == 0u) {
            partial_stats[head * params.splits + wg_id.x] = vec2<f32>(m_$h, l);
        }
    }
#end
}
