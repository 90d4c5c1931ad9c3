// attention_decode_rows: attention of one token over each KV head's cache, for adapters on the CPU.
//
//   logit[j] = scale * q . k[j], j over the rows of a split of 0 ..= length
//   partial_out[head, split, :] = sum_j exp(logit[j] - m) v[j], m = max_j logit[j]
//   partial_stats[head, split] = (m, l), l = sum_j exp(logit[j] - m); (NEG_BIG, 0) without rows
//   if there is one split: partial_out[head, :] is divided by l, so it is the result
//
// One workgroup, a subgroup of $LANES, takes a split of rows, $ROWS * LANES at a time, for $HEADS
// query heads of one KV head. Logits: a lane has rows of its own. Values: the lanes share a row.
// Neither needs a barrier or workgroup memory.
// Dispatch: (splits, NUM_HEADS / HEADS, 1).
// CPU twin: test/reference/attention.ts

enable subgroups;
#import kv
#import softmax

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;

const LANES: u32 = $LANES;
const SPAN: u32 = $SPAN; // lanes that share a row: LANES, or less for small heads
const OCTETS: u32 = $HEAD_DIM / 8;
const WORDS: u32 = $HEAD_DIM / 4;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    splits: u32,
    split_rows: u32, // rows of a split
    // At run time, because unrolled loops of loads take seconds to compile:
    own_octets: u32, // OWN
    span: u32, // SPAN
    lanes: u32, // LANES
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, NUM_KV_HEADS)
@group(0) @binding(2) var<storage, read> qkv: array<vec4<f32>>; // (heads, WORDS)
@group(0) @binding(3) var<storage, read> keys: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(4) var<storage, read> values: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(5) var<storage, read_write> partial_out: array<vec4<f32>>; // (NUM_HEADS, splits, WORDS)
@group(0) @binding(6) var<storage, read_write> partial_stats: array<vec2<f32>>; // (NUM_HEADS, splits)

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first_head = wg_id.y * $HEADSu;
    let kv_head = first_head / (NUM_HEADS / NUM_KV_HEADS);
    let entry = table[params.table_base + kv_head];
    let begin = wg_id.x * params.split_rows;
    let end = min(begin + params.split_rows, min(entry.y + 1u, entry.z));
    // The lane's octets of a shared row: SPAN apart.
    let own = min(lane, SPAN - 1u);

    var low_words: array<vec4<f32>, $OWN * $HEADS>;
    var high_words: array<vec4<f32>, $OWN * $HEADS>;
    for (var i = 0u; i < params.own_octets; i += 1u) {
        for (var h = 0u; h < $HEADSu; h += 1u) {
            let word = (first_head + h) * WORDS + 2u * (i * SPAN + own);
            low_words[i * $HEADSu + h] = params.scale * qkv[word];
            high_words[i * $HEADSu + h] = params.scale * qkv[word + 1u];
        }
    }
#unroll h 0 HEADS
    var m_$h = NEG_BIG;
    var l_$h = 0.0;
#end
#unroll i 0 OWN
#unroll h 0 HEADS
    let query_low_$i$h = low_words[$i * $HEADS + $h];
    let query_high_$i$h = high_words[$i * $HEADS + $h];
    var low_$i$h = vec4<f32>();
    var high_$i$h = vec4<f32>();
#end
#end

    for (var tile = begin; tile < end; tile += $ROWSu * LANES) {
#unroll r 0 ROWS
        let key_$r = (entry.x + min(tile + $r * LANES + lane, end - 1u)) * OCTETS;
#unroll h 0 HEADS
        var logit_$r$h = 0.0;
#end
#end
        for (var n = 0u; n < params.span; n += 1u) {
#unroll i 0 OWN
            {
#unroll h 0 HEADS
                let query_low_$h = subgroupShuffle(query_low_$i$h, n);
                let query_high_$h = subgroupShuffle(query_high_$i$h, n);
#end
#unroll r 0 ROWS
                {
                    let key = keys[key_$r + $i * SPAN + n];
                    let low = kv_low(key);
                    let high = kv_high(key);
#unroll h 0 HEADS
                    logit_$r$h += dot(query_low_$h, low) + dot(query_high_$h, high);
#end
                }
#end
            }
#end
        }

#unroll h 0 HEADS
        var most_$h = NEG_BIG;
#end
#unroll r 0 ROWS
#unroll h 0 HEADS
        logit_$r$h = select(NEG_BIG, logit_$r$h, tile + $r * LANES + lane < end);
        most_$h = max(most_$h, logit_$r$h);
#end
#end
#unroll h 0 HEADS
        most_$h = max(m_$h, subgroupMax(most_$h));
        let shrink_$h = exp(m_$h - most_$h);
        m_$h = most_$h;
        l_$h *= shrink_$h;
#end
#unroll i 0 OWN
#unroll h 0 HEADS
        low_$i$h *= shrink_$h;
        high_$i$h *= shrink_$h;
#end
#end
#unroll r 0 ROWS
#unroll h 0 HEADS
        let p_$r$h = exp(logit_$r$h - m_$h);
        l_$h += p_$r$h;
#end
#end

        for (var n = 0u; n < params.lanes; n += 1u) {
#unroll r 0 ROWS
            {
                let row = entry.x + min(tile + $r * LANES + n, end - 1u);
#unroll h 0 HEADS
                let p_$h = subgroupShuffle(p_$r$h, n);
#end
#unroll i 0 OWN
                {
                    let value = values[row * OCTETS + $i * SPAN + own];
                    let low = kv_low(value);
                    let high = kv_high(value);
#unroll h 0 HEADS
                    low_$i$h += p_$h * low;
                    high_$i$h += p_$h * high;
#end
                }
#end
            }
#end
        }
    }

    // The sums move to where a loop may index them.
#unroll i 0 OWN
#unroll h 0 HEADS
    low_words[$i * $HEADS + $h] = low_$i$h;
    high_words[$i * $HEADS + $h] = high_$i$h;
#end
#end
    var divisors: array<f32, $HEADS>;
#unroll h 0 HEADS
    {
        let sum = subgroupAdd(l_$h);
        divisors[$h] = select(1.0, sum, params.splits == 1u);
        if (lane == 0u) {
            partial_stats[(first_head + $h) * params.splits + wg_id.x] = vec2<f32>(m_$h, sum);
        }
    }
#end
    if (lane < SPAN) {
        for (var i = 0u; i < params.own_octets; i += 1u) {
            for (var h = 0u; h < $HEADSu; h += 1u) {
                let split = (first_head + h) * params.splits + wg_id.x;
                let word = split * WORDS + 2u * (i * SPAN + own);
                partial_out[word] = low_words[i * $HEADSu + h] / divisors[h];
                partial_out[word + 1u] = high_words[i * $HEADSu + h] / divisors[h];
            }
        }
    }
}
