// Logits as integers in the same order, so that comparing and selecting is exact and no float rule
// of WGSL (which may take NaN for impossible) gets in the way. -0 counts as +0.

const KEY_NONE: u32 = 0u; // below every logit
const KEY_NEGATIVE_INFINITY: u32 = 0x007fffffu;
const KEY_INFINITY: u32 = 0xff800000u;
const KEY_NAN: u32 = 0xffffffffu; // above everything, so that a maximum shows it

fn order_key4(bits: vec4<u32>) -> vec4<u32> {
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let sign = bitcast<vec4<u32>>(bitcast<vec4<i32>>(bits) >> vec4<u32>(31u)); // 0 or all ones
    let plain = select(bits ^ (sign | vec4<u32>(0x80000000u)), vec4<u32>(0x80000000u),
        magnitude == vec4<u32>(0u));
    return select(plain, vec4<u32>(KEY_NAN), magnitude > vec4<u32>(0x7f800000u));
}

fn order_key(value: f32) -> u32 {
    return order_key4(vec4<u32>(bitcast<u32>(value))).x;
}

// The logits of keys that are numbers.
fn key_logit4(keys: vec4<u32>) -> vec4<f32> {
    let positive = keys >= vec4<u32>(0x80000000u);
    let flips = select(vec4<u32>(0xffffffffu), vec4<u32>(0x80000000u), positive);
    return bitcast<vec4<f32>>(keys ^ flips);
}

// Whether the largest key says that the logits can be sampled: no NaN, no +inf, not all -inf.
fn is_sound_maximum(key: u32) -> bool {
    return key > KEY_NEGATIVE_INFINITY && key < KEY_INFINITY;
}
