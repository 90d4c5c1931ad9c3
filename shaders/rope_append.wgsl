// rope_append: rotate queries and keys to their positions; store keys and values in the cache.
//
//   angle[i] = (state.position + start + token) * frequency[i], i < ROPE_DIM / 2
//   (a, b) -> (a cos - b sin, b cos + a sin) for the pairs of every query and key head, which are
//   (2i, 2i + 1) if ROPE_INTERLEAVED, else (i, i + ROPE_DIM / 2); ROPE_DIM.. stays as it is
//
// Queries are rotated in place. The rows of token t go to row `offset + length` of the head's table
// entry (to_table != 0: decode, one token, nothing once the state is done) or to row
// staged_offset + head * staged_stride + start + t. Never past a head's last row.
// TRACK: rotated queries also go to the ring of the last window_size ones of the layer, slot
// position % window_size (a prefill's from index track_from on; none if window_size is 0), and
// rows that go where the table says get their position.
// A thread takes 8 pairs of one head: two octets.
// Dispatch: (ceil((NUM_HEADS + 2 NUM_KV_HEADS) * HEAD_DIM / 16 / WORKGROUP_SIZE), tokens, 1).
// CPU twin: test/reference/rope_append.ts

#import kv
#import state

override WORKGROUP_SIZE: u32 = 64u;
override NUM_HEADS: u32;
override NUM_KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 32
override ROPE_DIM: u32; // a multiple of 16, at most HEAD_DIM
override ROPE_INTERLEAVED: bool;

struct Params {
    table_base: u32, // table entry of the layer's first KV head
    to_table: u32, // 1: rows go where the table says, 0: to the staged rows
    start: u32, // index of token 0 in the prefill, 0 in decode
    staged_offset: u32,
    staged_stride: u32, // rows from one head's staged rows to the next one's
    staged_rows: u32, // staged rows that a head has room for
#if TRACK
    ring_base: u32, // first vec4 of the layer in `queries`
    window_size: u32,
    track_from: u32, // index in the prefill
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rope_turns: array<vec4<u32>>; // (2, ROPE_DIM / 8)
@group(0) @binding(2) var<storage, read> table: array<vec4<u32>>; // (layers, NUM_KV_HEADS)
@group(0) @binding(3) var<storage, read> state: array<u32>; // (16)
@group(0) @binding(4) var<storage, read_write> qkv: array<vec4<f32>>; // (tokens, heads, HEAD_DIM / 4)
@group(0) @binding(5) var<storage, read_write> keys: array<KvOctet>; // (rows, HEAD_DIM / 8)
@group(0) @binding(6) var<storage, read_write> values: array<KvOctet>; // (rows, HEAD_DIM / 8)
#if TRACK
@group(0) @binding(7) var<storage, read_write> queries: array<vec4<f32>>; // (layers, window_size, NUM_HEADS, HEAD_DIM / 4)
@group(0) @binding(8) var<storage, read_write> positions: array<u32>; // (rows)
#endif

struct Rotation {
    cosine: vec4<f32>,
    sine: vec4<f32>,
}

// Built-in sin and cos may be off by 2^-11, and a product in f32 by more than that at position
// 8,192. So the angle is a fraction of a turn in integers (exact but for its last bit: see
// ropeTurns), reduced to an eighth of a turn at most, where the Taylor sums are exact to f32.
fn rotation(position: u32, four: u32) -> Rotation {
    let coarse = rope_turns[four];
    let fine = rope_turns[ROPE_DIM / 8u + four];
    let turn = coarse * position + ((fine * position) >> vec4<u32>(12u));
    let quarter = (turn + 0x20000000u) >> vec4<u32>(30u);
    let rest = bitcast<vec4<i32>>(turn - (quarter << vec4<u32>(30u)));
    let x = vec4<f32>(rest) * 1.4629180792671596e-9; // 2 pi / 2^32
    let xx = x * x;
    let s = x + x * xx * (-1.0 / 6.0 + xx * (1.0 / 120.0 + xx * (-1.0 / 5040.0 + xx / 362880.0)));
    let c = 1.0 + xx * (-0.5 + xx * (1.0 / 24.0
        + xx * (-1.0 / 720.0 + xx * (1.0 / 40320.0 - xx / 3628800.0))));
    let odd = (quarter & vec4<u32>(1u)) == vec4<u32>(1u);
    let cosine_sign = select(vec4<f32>(1.0), vec4<f32>(-1.0),
        ((quarter + 1u) & vec4<u32>(2u)) == vec4<u32>(2u));
    let sine_sign = select(vec4<f32>(1.0), vec4<f32>(-1.0),
        (quarter & vec4<u32>(2u)) == vec4<u32>(2u));
    return Rotation(cosine_sign * select(c, s, odd), sine_sign * select(s, c, odd));
}

fn turn_pairs(a: vec4<f32>, b: vec4<f32>, r: Rotation) -> array<vec4<f32>, 2> {
    return array<vec4<f32>, 2>(a * r.cosine - b * r.sine, b * r.cosine + a * r.sine);
}

// The row that a KV head's new key and value go to, in x; y is 0 if there is none.
fn destination(kv_head: u32, token: u32) -> vec2<u32> {
    if (params.to_table != 0u) {
        let entry = table[params.table_base + kv_head];
        return vec2<u32>(entry.x + entry.y, u32(entry.y < entry.z && state[STATE_DONE] == 0u));
    }
    let j = params.start + token;
    return vec2<u32>(
        params.staged_offset + kv_head * params.staged_stride + j, u32(j < params.staged_rows),
    );
}

#if TRACK
// Whether the token's query is one of those that rank rows later.
fn is_tracked(token: u32) -> bool {
    let is_wanted = select(
        params.start + token >= params.track_from, state[STATE_DONE] == 0u, params.to_table != 0u,
    );
    return is_wanted && params.window_size != 0u;
}
#endif

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let heads = NUM_HEADS + 2u * NUM_KV_HEADS;
    let head = global_id.x / (HEAD_DIM / 16u);
    let part = global_id.x % (HEAD_DIM / 16u);
    let token = global_id.y;
    if (head < heads) {
        let position = state[STATE_POSITION] + params.start + token;
        let rotates = part < ROPE_DIM / 16u && head < NUM_HEADS + NUM_KV_HEADS;
        // The thread's two octets.
        var first = 2u * part;
        var second = first + 1u;
        if (!ROPE_INTERLEAVED && part < ROPE_DIM / 16u) {
            first = part;
            second = part + ROPE_DIM / 16u;
        }
        let base = (token * heads + head) * (HEAD_DIM / 4u);
        var x0 = qkv[base + 2u * first];
        var x1 = qkv[base + 2u * first + 1u];
        var y0 = qkv[base + 2u * second];
        var y1 = qkv[base + 2u * second + 1u];
        if (rotates) {
            let r0 = rotation(position, 2u * part);
            let r1 = rotation(position, 2u * part + 1u);
            if (ROPE_INTERLEAVED) {
                let a = turn_pairs(vec4<f32>(x0.xz, x1.xz), vec4<f32>(x0.yw, x1.yw), r0);
                let b = turn_pairs(vec4<f32>(y0.xz, y1.xz), vec4<f32>(y0.yw, y1.yw), r1);
                x0 = vec4<f32>(a[0].x, a[1].x, a[0].y, a[1].y);
                x1 = vec4<f32>(a[0].z, a[1].z, a[0].w, a[1].w);
                y0 = vec4<f32>(b[0].x, b[1].x, b[0].y, b[1].y);
                y1 = vec4<f32>(b[0].z, b[1].z, b[0].w, b[1].w);
            } else {
                let a = turn_pairs(x0, y0, r0);
                let b = turn_pairs(x1, y1, r1);
                x0 = a[0];
                y0 = a[1];
                x1 = b[0];
                y1 = b[1];
            }
        }
        if (head < NUM_HEADS) {
            qkv[base + 2u * first] = x0;
            qkv[base + 2u * first + 1u] = x1;
            qkv[base + 2u * second] = y0;
            qkv[base + 2u * second + 1u] = y1;
#if TRACK
            if (is_tracked(token)) {
                let slot = position % params.window_size;
                let query = params.ring_base + (slot * NUM_HEADS + head) * (HEAD_DIM / 4u);
                queries[query + 2u * first] = x0;
                queries[query + 2u * first + 1u] = x1;
                queries[query + 2u * second] = y0;
                queries[query + 2u * second + 1u] = y1;
            }
#endif
        } else {
            let row = destination((head - NUM_HEADS) % NUM_KV_HEADS, token);
            let octet = row.x * (HEAD_DIM / 8u);
            if (row.y != 0u) {
                if (head < NUM_HEADS + NUM_KV_HEADS) {
                    keys[octet + first] = kv_pack(x0, x1);
                    keys[octet + second] = kv_pack(y0, y1);
#if TRACK
                    if (params.to_table != 0u && part == 0u) {
                        positions[row.x] = position;
                    }
#endif
                } else {
                    values[octet + first] = kv_pack(x0, x1);
                    values[octet + second] = kv_pack(y0, y1);
                }
            }
        }
    }
}
