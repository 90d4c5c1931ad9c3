// attention_prefill_rows: causal attention of a chunk of the prompt, for adapters that run on the CPU.
//
//   logit[j] = scale * q . k[j], j over the head's kept rows and staged rows 0 ..= start + token
//   out[token, head, :] = sum_j exp(logit[j] - m) v[j] / l, m = max_j logit[j], l = sum_j exp(logit[j] - m)
//   stats[start + token - stats_from, head] = (m, l) for tokens from prefill index stats_from on
//
// The queries of a KV head are (token, query head) pairs. A thread takes $ROWS of them and walks over
// the keys. Each key and value is loaded once per workgroup, a subgroup of $LANES, and handed out
// by subgroupBroadcast.
// Dispatch: (ceil(tokens * queries per KV head / (ROWS * LANES)), NUM_KV_HEADS, 1).
// CPU twin: test/reference/attention.ts

enable subgroups;
#import kv
#import softmax

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;
override QUERIES_PER_KV_HEAD: u32 = NUM_HEADS / NUM_KV_HEADS;
// Whether to rescale the sums with every key. SwiftShader runs both sides of every branch, so that
// it gains a quarter; lavapipe skips what no lane needs, and loses a third.
override RESCALE_ALWAYS: bool;

const OCTETS: u32 = $HEAD_DIM / 8;
const WORDS: u32 = $HEAD_DIM / 4;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    token_begin: u32, // first token of the chunk that the dispatch takes
    token_end: u32, // end of them
    start: u32, // index of the chunk's token 0 in the prefill
    staged_offset: u32,
    staged_stride: u32, // rows from one head's staged rows to the next one's
    stats_from: u32, // index in the prefill
    words: u32, // WORDS, at run time: an unrolled loop of loads takes seconds to compile
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, NUM_KV_HEADS)
@group(0) @binding(2) var<storage, read> qkv: array<vec4<f32>>; // (tokens, heads, WORDS)
@group(0) @binding(3) var<storage, read> keys: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(4) var<storage, read> values: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(5) var<storage, read> staged_keys: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(6) var<storage, read> staged_values: array<KvOctet>; // (rows, OCTETS)
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // (tokens, NUM_HEADS, WORDS)
@group(0) @binding(8) var<storage, read_write> stats: array<vec2<f32>>; // (tokens, NUM_HEADS)

fn key_octet(staged: bool, i: u32) -> KvOctet {
    if (staged) {
        return staged_keys[i];
    }
    return keys[i];
}

fn value_octet(staged: bool, i: u32) -> KvOctet {
    if (staged) {
        return staged_values[i];
    }
    return values[i];
}

@compute @workgroup_size($LANES)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let kv_head = wg_id.y;
    let rows = (params.token_end - params.token_begin) * QUERIES_PER_KV_HEAD;
    let first_row = wg_id.x * ($ROWSu * $LANESu);
    let last_row = min(first_row + $ROWSu * $LANESu, rows) - 1u;
    let last_token = params.token_begin + last_row / QUERIES_PER_KV_HEAD;
    let entry = table[params.table_base + kv_head];
    // Keys are counted through: kept rows, then staged rows.
    let kept = entry.y;
    let end = kept + params.start + last_token + 1u;
    let staged_row = params.staged_offset + kv_head * params.staged_stride;

#unroll r 0 ROWS
    let row_$r = first_row + $r * $LANESu + lane;
    let token_$r = params.token_begin + min(row_$r, rows - 1u) / QUERIES_PER_KV_HEAD;
    let head_$r = kv_head * QUERIES_PER_KV_HEAD + min(row_$r, rows - 1u) % QUERIES_PER_KV_HEAD;
    let visible_$r = kept + params.start + token_$r + 1u;
    let query_$r = (token_$r * (NUM_HEADS + 2u * NUM_KV_HEADS) + head_$r) * WORDS;
    var q_$r: array<vec4<f32>, WORDS>;
    var o_$r: array<vec4<f32>, WORDS>;
    var m_$r = NEG_BIG;
    var l_$r = 0.0;
#end
    for (var w = 0u; w < params.words; w += 1u) {
#unroll r 0 ROWS
        q_$r[w] = qkv[query_$r + w] * params.scale;
#end
    }

    for (var j = 0u; j < end; j += 1u) {
        let staged = j >= kept;
        let octet = select(entry.x + j, staged_row + j - kept, staged) * OCTETS;
        var own_low: array<vec4<f32>, $OWN>;
        var own_high: array<vec4<f32>, $OWN>;
#unroll i 0 OWN
        {
            let own = key_octet(staged, octet + min($i * $LANESu + lane, OCTETS - 1u));
            own_low[$i] = kv_low(own);
            own_high[$i] = kv_high(own);
        }
#end
#unroll r 0 ROWS
        var part_$r = vec4<f32>();
#end
#unroll c 0 OCTETS
        {
            let low = subgroupBroadcast(own_low[$c / $LANES], $c % $LANES);
            let high = subgroupBroadcast(own_high[$c / $LANES], $c % $LANES);
#unroll r 0 ROWS
            part_$r = fma(q_$r[2 * $c], low, part_$r);
            part_$r = fma(q_$r[2 * $c + 1], high, part_$r);
#end
        }
#end
#unroll r 0 ROWS
        let logit_$r = select(NEG_BIG, dot(part_$r, vec4<f32>(1.0)), j < visible_$r);
        if (RESCALE_ALWAYS || logit_$r > m_$r) {
            let most = max(m_$r, logit_$r);
            let shrink = exp(m_$r - most);
            m_$r = most;
            l_$r *= shrink;
#unroll w 0 WORDS
            o_$r[$w] *= shrink;
#end
        }
        let p_$r = exp(logit_$r - m_$r);
        l_$r += p_$r;
#end
#unroll i 0 OWN
        {
            let own = value_octet(staged, octet + min($i * $LANESu + lane, OCTETS - 1u));
            own_low[$i] = kv_low(own);
            own_high[$i] = kv_high(own);
        }
#end
#unroll c 0 OCTETS
        {
            let low = subgroupBroadcast(own_low[$c / $LANES], $c % $LANES);
            let high = subgroupBroadcast(own_high[$c / $LANES], $c % $LANES);
#unroll r 0 ROWS
            o_$r[2 * $c] = fma(vec4<f32>(p_$r), low, o_$r[2 * $c]);
            o_$r[2 * $c + 1] = fma(vec4<f32>(p_$r), high, o_$r[2 * $c + 1]);
#end
        }
#end
    }

#unroll r 0 ROWS
    if (row_$r < rows) {
        let base = (token_$r * NUM_HEADS + head_$r) * WORDS;
        // The sums move to where a loop may index them.
#unroll w 0 WORDS
        q_$r[$w] = o_$r[$w];
#end
        for (var w = 0u; w < params.words; w += 1u) {
            out[base + w] = q_$r[w] / l_$r;
        }
        let index = params.start + token_$r;
        if (index >= params.stats_from) {
            stats[(index - params.stats_from) * NUM_HEADS + head_$r] = vec2<f32>(m_$r, l_$r);
        }
    }
#end
}
