// Logits of the window's queries, eight rows at a time. Query row r of a KV head is that of window token
// r / QUERIES_PER_KV_HEAD for query head r % QUERIES_PER_KV_HEAD of the group; window token i is the
// prompt's token tokens - window_rows + i and sees candidates up to its own.
// The kernel declares the params table_base, new_tokens, window_rows, window_size, first_slot,
// ring_base, scale and octets: HEAD_DIM / 8, told when it runs, since a compiler that knows it may
// unroll the loop over so many loads and take seconds.

#if SUBGROUPS
enable subgroups;
#endif
#import kv

const ROWS: u32 = 8u; // LOADS * PAIRS

override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 8
override QUERIES_PER_KV_HEAD: u32 = NUM_HEADS / NUM_KV_HEADS;

@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>; // (layers, NUM_KV_HEADS)
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>; // (layers, window_size, NUM_HEADS, HEAD_DIM / 4)
@group(0) @binding(3) var<storage, read> keys: array<KvOctet>; // (rows, HEAD_DIM / 8)
@group(0) @binding(4) var<storage, read> staged_keys: array<KvOctet>; // (NUM_KV_HEADS, new_tokens, HEAD_DIM / 8)

fn query_rows() -> u32 {
    return params.window_rows * QUERIES_PER_KV_HEAD;
}

// Window token and query head of a row; rows past the last one are the last one again.
fn query_row(kv_head: u32, row: u32) -> vec2<u32> {
    let r = min(row, query_rows() - 1u);
    let head = kv_head * QUERIES_PER_KV_HEAD + r % QUERIES_PER_KV_HEAD;
    return vec2<u32>(r / QUERIES_PER_KV_HEAD, head);
}

// First vec4 of a query in the ring.
fn query_base(row: vec2<u32>) -> u32 {
    let slot = (params.first_slot + row.x) % params.window_size;
    return params.ring_base + (slot * NUM_HEADS + row.y) * (HEAD_DIM / 4u);
}

// scale * q . k of eight query rows from `first_row` on, with candidate j of the head: four in each
// column. SUBGROUPS: `lane` is the invocation's place in its subgroup of 2 * $PAIRS, all of which take
// part; each lane loads part of the queries for all of them.
fn window_logits(
    kv_head: u32, entry: vec4<u32>, first_row: u32, j: u32, lane: u32,
) -> mat2x4<f32> {
    let octets = params.octets;
    let is_staged = j >= entry.y;
    let staged_base = (kv_head * params.new_tokens + j - entry.y) * octets;
    let key_base = select((entry.x + j) * octets, staged_base, is_staged);
#unroll k 0 LOADS
#if SUBGROUPS
    let half_$k = query_base(query_row(kv_head, first_row + $k * $PAIRS + lane / 2)) + lane % 2;
#else
#unroll p 0 PAIRS
    let query_$k$p = query_base(query_row(kv_head, first_row + $k * $PAIRS + $p));
#end
#endif
#unroll p 0 PAIRS
    var dots_$k$p = vec4<f32>(0.0);
#end
#end
    for (var octet = 0u; octet < octets; octet += 1u) {
        var key: KvOctet;
        if (is_staged) {
            key = staged_keys[key_base + octet];
        } else {
            key = keys[key_base + octet];
        }
        let low = kv_low(key);
        let high = kv_high(key);
#unroll k 0 LOADS
#if SUBGROUPS
        let loaded_$k = queries[half_$k + 2u * octet];
#unroll p 0 PAIRS
        dots_$k$p += subgroupBroadcast(loaded_$k, 2 * $p) * low
            + subgroupBroadcast(loaded_$k, 2 * $p + 1) * high;
#end
#else
#unroll p 0 PAIRS
        dots_$k$p += queries[query_$k$p + 2u * octet] * low
            + queries[query_$k$p + 2u * octet + 1u] * high;
#end
#endif
#end
    }
    let one = vec4<f32>(1.0);
    return params.scale * mat2x4<f32>(
#unroll k 0 LOADS
#unroll p 0 PAIRS
        dot(dots_$k$p, one),
#end
#end
    );
}

// Which of four rows exist and see candidate j of `candidates`.
fn window_sees(first_row: u32, j: u32, candidates: u32) -> vec4<bool> {
    let row = vec4<u32>(first_row) + vec4<u32>(0u, 1u, 2u, 3u);
    let seen = vec4<u32>(candidates - params.window_rows) + row / QUERIES_PER_KV_HEAD;
    return (row < vec4<u32>(query_rows())) & (vec4<u32>(j) <= seen);
}
