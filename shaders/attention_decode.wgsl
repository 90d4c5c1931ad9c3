// attention_decode: attention of one token over the rows of each KV head's cache, for GPUs.
//
//   logit[j] = scale * q . k[j], j over the rows of a split of 0 ..= length
//   partial_out[head, split, :] = sum_j exp(logit[j] - m) v[j], m = max_j logit[j]
//   partial_stats[head, split] = (m, l), l = sum_j exp(logit[j] - m); (NEG_BIG, 0) without rows
//   if there is one split: partial_out[head, :] is divided by l, so it is the result
//
// One workgroup takes a split of rows, $BLOCK at a time, for $HEADS query heads of one KV head, so
// that they share each key and value. Logits: 4 threads along a row, for all heads. Weights: a thread
// has 4 rows of a head. Sums: a thread has 4 dimensions of a head, and every ROW_GROUPS-th row.
// Dispatch: (splits, NUM_HEADS / HEADS, 1).
// CPU twin: test/reference/attention.ts

#import kv
#import softmax

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;

const THREADS: u32 = 128;
const OCTETS: u32 = $HEAD_DIM / 8;
const WORDS: u32 = $HEAD_DIM / 4;
const ITEMS: u32 = $HEADS * WORDS; // 4 dimensions of a head each
const ROW_GROUPS: u32 = max(THREADS / ITEMS, 1);
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
@group(0) @binding(4) var<storage, read> values: array<KvQuad>; // (rows, WORDS)
@group(0) @binding(5) var<storage, read_write> partial_out: array<vec4<f32>>; // (NUM_HEADS, splits, WORDS)
@group(0) @binding(6) var<storage, read_write> partial_stats: array<vec2<f32>>; // (NUM_HEADS, splits)

var<workgroup> sh_query: array<vec4<f32>, ITEMS>;
var<workgroup> sh_part: array<f32, $HEADS * $BLOCK * 4>; // dot products over a quarter of a row
var<workgroup> sh_top: array<f32, $HEADS * QUADS>;
var<workgroup> sh_p: array<f32, $HEADS * $BLOCK>;
var<workgroup> sh_out: array<vec4<f32>, THREADS>;
var<workgroup> sh_sum: array<f32, THREADS>;

// The largest of `m` and the block's logits of a head.
fn block_max(head: u32, m: f32) -> f32 {
    var most = m;
    for (var i = 0u; i < QUADS; i += 1u) {
        most = max(most, sh_top[head * QUADS + i]);
    }
    return most;
}

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

    for (var i = thread; i < ITEMS; i += THREADS) {
        sh_query[i] = params.scale * qkv[first_head * WORDS + i];
    }
    workgroupBarrier();

    let quarter = thread % 4u;
    let quad = thread % QUADS;
    let quad_head = thread / QUADS;
    var quad_m = NEG_BIG;
#unroll i 0 PER_THREAD
    let item_$i = (thread + $i * THREADS) % ITEMS;
    let row_group_$i = (thread + $i * THREADS) / ITEMS;
    let head_$i = item_$i / WORDS;
    var m_$i = NEG_BIG;
    var l_$i = 0.0;
    var sum_$i = vec4<f32>();
#end

    for (var block = begin; block < end; block += $BLOCKu) {
        for (var row = thread / 4u; row < $BLOCKu; row += THREADS / 4u) {
            let source = (entry.x + min(block + row, end - 1u)) * OCTETS + quarter;
#unroll h 0 HEADS
            var part_$h = 0.0;
#end
            for (var i = 0u; i < OCTETS / 4u; i += 1u) {
                let key = keys[source + 4u * i];
                let low = kv_low(key);
                let high = kv_high(key);
                let word = 2u * (4u * i + quarter);
#unroll h 0 HEADS
                part_$h += dot(sh_query[$h * WORDS + word], low)
                    + dot(sh_query[$h * WORDS + word + 1u], high);
#end
            }
#unroll h 0 HEADS
            sh_part[($h * $BLOCKu + row) * 4u + quarter] = part_$h;
#end
        }
        workgroupBarrier();

        var logits = vec4<f32>(NEG_BIG);
        if (quad_head < $HEADSu) {
            for (var i = 0u; i < 4u; i += 1u) {
                let cell = (quad_head * $BLOCKu + quad * 4u + i) * 4u;
                let logit = sh_part[cell] + sh_part[cell + 1u]
                    + sh_part[cell + 2u] + sh_part[cell + 3u];
                logits[i] = select(NEG_BIG, logit, block + quad * 4u + i < end);
            }
            sh_top[thread] = max(max(logits.x, logits.y), max(logits.z, logits.w));
        }
        workgroupBarrier();

        if (quad_head < $HEADSu) {
            quad_m = block_max(quad_head, quad_m);
            let p = exp(logits - quad_m);
            for (var i = 0u; i < 4u; i += 1u) {
                sh_p[thread * 4u + i] = p[i];
            }
        }
        workgroupBarrier();

        let count = min($BLOCKu, end - block);
#unroll i 0 PER_THREAD
        if (row_group_$i < ROW_GROUPS) {
            let most = block_max(head_$i, m_$i);
            let shrink = exp(m_$i - most);
            m_$i = most;
            l_$i *= shrink;
            sum_$i *= shrink;
            for (var row = row_group_$i; row < count; row += ROW_GROUPS) {
                let p = sh_p[head_$i * $BLOCKu + row];
                let v = kv_values(values[(entry.x + block + row) * WORDS + item_$i % WORDS]);
                l_$i += p;
                sum_$i += p * v;
            }
        }
#end
    }

    // Add the row groups up, in order.
    if (ROW_GROUPS > 1u) {
        sh_out[thread] = sum_0;
        sh_sum[thread] = l_0;
        workgroupBarrier();
        for (var group = 1u; group < ROW_GROUPS; group += 1u) {
            sum_0 += sh_out[group * ITEMS + item_0];
            l_0 += sh_sum[group * ITEMS + item_0];
        }
    }
#unroll i 0 PER_THREAD
    if (row_group_$i == 0u) {
        let split = (first_head + head_$i) * params.splits + wg_id.x;
        if (params.splits == 1u) {
            sum_$i /= l_$i;
        }
        partial_out[split * WORDS + item_$i % WORDS] = sum_$i;
        if (item_$i % WORDS == 0u) {
            partial_stats[split] = vec2<f32>(m_$i, l_$i);
        }
    }
#end
}
