// Cache rows of packed halves; serves `#import kv`. Same names as kv_f32.
// A row of HEAD_DIM values is HEAD_DIM / 8 octets: 8 consecutive values, low half of x first.

alias KvOctet = vec4<u32>;
alias KvQuad = vec2<u32>; // half an octet

// A half holds no more, and packing more is indeterminate.
const KV_LIMIT: vec4<f32> = vec4<f32>(65504.0);

fn kv_low(octet: KvOctet) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(octet.x), unpack2x16float(octet.y));
}

fn kv_high(octet: KvOctet) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(octet.z), unpack2x16float(octet.w));
}

fn kv_low_quad(octet: KvOctet) -> KvQuad {
    return octet.xy;
}

fn kv_high_quad(octet: KvOctet) -> KvQuad {
    return octet.zw;
}

fn kv_values(quad: KvQuad) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(quad.x), unpack2x16float(quad.y));
}

fn kv_pack(low: vec4<f32>, high: vec4<f32>) -> KvOctet {
    let a = clamp(low, -KV_LIMIT, KV_LIMIT);
    let b = clamp(high, -KV_LIMIT, KV_LIMIT);
    return KvOctet(
        pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw),
    );
}
