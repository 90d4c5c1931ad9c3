// What a maximum starts with, and the logit of a key that a query doesn't see: WGSL has no infinity.
const NEG_BIG: f32 = -3.0e38;
