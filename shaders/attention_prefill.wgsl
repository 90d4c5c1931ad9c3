// attention_prefill: causal attention of a chunk of the prompt, for GPUs.
//
//   logit[j] = scale * q . k[j], j over the head's kept rows and staged rows 0 ..= start + token
//   out[token, head, :] = sum_j exp(logit[j] - m) v[j] / l, m = max_j logit[j], l = sum_j exp(logit[j] - m)
//   stats[start + token - stats_from, head] = (m, l) for tokens from prefill index stats_from on
//
// The queries of a KV head are (token, query head) pairs, so that they share its keys and values.
// One workgroup takes 64 of them and walks over the keys, $TILE at a time, in workgroup memory: a
// thread has 4 queries, of their logits $TILE / 8 keys each, of their sums HEAD_DIM / 8 dimensions.
// Dispatch: (ceil(tokens * queries per KV head / 64), NUM_KV_HEADS, 1).
// CPU twin: test/reference/attention.ts

#import kv
#import softmax

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;
override QUERIES_PER_KV_HEAD: u32 = NUM_HEADS / NUM_KV_HEADS;

const OCTETS: u32 = $HEAD_DIM / 8;
const WORDS: u32 = $HEAD_DIM / 4;
const THREADS: u32 = 128;
const ROW_GROUPS: u32 = 16; // of 4 queries
const COLUMNS: u32 = 8; // threads that share 4 queries
const STRIDE: u32 = WORDS + 1; // one more, so that the same words of 8 keys lie in different banks

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    token_begin: u32, // first token of the chunk that the dispatch takes
    token_end: u32, // end of them
    start: u32, // index of the chunk's token 0 in the prefill
    staged_offset: u32,
    staged_stride: u32, // rows from one head's staged rows to the next one's
    stats_from: u32, // index in the prefill
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

var<workgroup> sh_rows: array<KvQuad, $TILE * STRIDE>; // keys, then values of the tile
var<workgroup> sh_p: array<vec4<f32>, $TILE * ROW_GROUPS>; // [key][row group]
var<workgroup> sh_top: array<vec4<f32>, COLUMNS * ROW_GROUPS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) wg_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let kv_head = wg_id.y;
    let rows = (params.token_end - params.token_begin) * QUERIES_PER_KV_HEAD;
    let first_row = wg_id.x * (4u * ROW_GROUPS);
    let last_row = min(first_row + 4u * ROW_GROUPS, rows) - 1u;
    let last_token = params.token_begin + last_row / QUERIES_PER_KV_HEAD;
    let entry = table[params.table_base + kv_head];
    // Keys are counted through: kept rows, then staged rows.
    let kept = entry.y;
    let end = kept + params.start + last_token + 1u;
    let staged_row = params.staged_offset + kv_head * params.staged_stride;

    let row_group = thread / COLUMNS;
    let column = thread % COLUMNS;
#unroll r 0 4
    let row_$r = first_row + row_group * 4u + $r;
    let token_$r = params.token_begin + min(row_$r, rows - 1u) / QUERIES_PER_KV_HEAD;
    let head_$r = kv_head * QUERIES_PER_KV_HEAD + min(row_$r, rows - 1u) % QUERIES_PER_KV_HEAD;
    let query_$r = (token_$r * (NUM_HEADS + 2u * NUM_KV_HEADS) + head_$r) * WORDS;
#end
    let visible = vec4<u32>(token_0, token_1, token_2, token_3) + (kept + params.start + 1u);
    var m = vec4<f32>(NEG_BIG);
    var l = vec4<f32>();
#unroll i 0 SHARE
#unroll r 0 4
    var o_$i$r = vec4<f32>();
#end
#end

    for (var tile = 0u; tile < end; tile += $TILEu) {
        for (var x = thread; x < $TILEu * OCTETS; x += THREADS) {
            let j = min(tile + x / OCTETS, end - 1u);
            let cell = x / OCTETS * STRIDE + x % OCTETS * 2u;
            var octet: KvOctet;
            if (j < kept) {
                octet = keys[(entry.x + j) * OCTETS + x % OCTETS];
            } else {
                octet = staged_keys[(staged_row + j - kept) * OCTETS + x % OCTETS];
            }
            sh_rows[cell] = kv_low_quad(octet);
            sh_rows[cell + 1u] = kv_high_quad(octet);
        }
        workgroupBarrier();

#unroll c 0 COLS
        var logit_$c = vec4<f32>();
#end
        for (var w = 0u; w < WORDS; w += 1u) {
#unroll r 0 4
            let q_$r = qkv[query_$r + w];
#end
#unroll c 0 COLS
            {
                let k = kv_values(sh_rows[(column + $c * COLUMNS) * STRIDE + w]);
                logit_$c += vec4<f32>(dot(q_0, k), dot(q_1, k), dot(q_2, k), dot(q_3, k));
            }
#end
        }
        var top = vec4<f32>(NEG_BIG);
#unroll c 0 COLS
        logit_$c = select(vec4<f32>(NEG_BIG), params.scale * logit_$c,
            vec4<u32>(tile + column + $c * COLUMNS) < visible);
        top = max(top, logit_$c);
#end
        sh_top[column * ROW_GROUPS + row_group] = top;
        workgroupBarrier();

        for (var x = thread; x < $TILEu * OCTETS; x += THREADS) {
            let j = min(tile + x / OCTETS, end - 1u);
            let cell = x / OCTETS * STRIDE + x % OCTETS * 2u;
            var octet: KvOctet;
            if (j < kept) {
                octet = values[(entry.x + j) * OCTETS + x % OCTETS];
            } else {
                octet = staged_values[(staged_row + j - kept) * OCTETS + x % OCTETS];
            }
            sh_rows[cell] = kv_low_quad(octet);
            sh_rows[cell + 1u] = kv_high_quad(octet);
        }
        var most = m;
        for (var c = 0u; c < COLUMNS; c += 1u) {
            most = max(most, sh_top[c * ROW_GROUPS + row_group]);
        }
        let shrink = exp(m - most);
        m = most;
        l *= shrink;
#unroll i 0 SHARE
#unroll r 0 4
        o_$i$r *= shrink[$r];
#end
#end
#unroll c 0 COLS
        sh_p[(column + $c * COLUMNS) * ROW_GROUPS + row_group] = exp(logit_$c - most);
#end
        workgroupBarrier();

        for (var j = 0u; j < $TILEu; j += 1u) {
            let p = sh_p[j * ROW_GROUPS + row_group];
            l += p;
#unroll i 0 SHARE
            {
                let v = kv_values(sh_rows[j * STRIDE + column + $i * COLUMNS]);
#unroll r 0 4
                o_$i$r += p[$r] * v;
#end
            }
#end
        }
        workgroupBarrier();
    }

#unroll i 0 SHARE
#unroll r 0 4
    if (row_$r < rows) {
        out[(token_$r * NUM_HEADS + head_$r) * WORDS + column + $i * COLUMNS] = o_$i$r / l[$r];
    }
#end
#end
#unroll r 0 4
    {
        let index = params.start + token_$r;
        if (column == 0u && row_$r < rows && index >= params.stats_from) {
            stats[(index - params.stats_from) * NUM_HEADS + head_$r] = vec2<f32>(m[$r], l[$r]);
        }
    }
#end
}
