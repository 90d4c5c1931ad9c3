// Cache rows of f32; serves `#import kv`. Same names as kv_f16.
// A row of HEAD_DIM values is HEAD_DIM / 8 octets: 8 consecutive values.

alias KvOctet = mat2x4<f32>;
alias KvQuad = vec4<f32>; // half an octet

fn kv_low(octet: KvOctet) -> vec4<f32> {
    return octet[0];
}

fn kv_high(octet: KvOctet) -> vec4<f32> {
    return octet[1];
}

fn kv_low_quad(octet: KvOctet) -> KvQuad {
    return octet[0];
}

fn kv_high_quad(octet: KvOctet) -> KvQuad {
    return octet[1];
}

fn kv_values(quad: KvQuad) -> vec4<f32> {
    return quad;
}

fn kv_pack(low: vec4<f32>, high: vec4<f32>) -> KvOctet {
    return KvOctet(low, high);
}
