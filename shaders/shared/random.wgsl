// The random number of one step: pcg3d (Jarzynski and Olano, "Hash Functions for GPU Rendering",
// JCGT 9(3), 2020) of (seed, step). A multiple of 2^-24 in (0, 1].
// CPU twin: src/sampling/rng.ts, equal in every bit.

fn random_unit(seed: u32, step: u32) -> f32 {
    var v = vec3<u32>(seed, step, 0u) * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3<u32>(16u);
    v.x += v.y * v.z;
    return f32((v.x >> 8u) + 1u) * 5.9604644775390625e-8;
}
