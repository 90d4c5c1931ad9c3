// The words of the state buffer, which lives on the GPU so that decode never waits for the host.

const STATE_TOKEN: u32 = 0u; // input of this step
const STATE_POSITION: u32 = 1u; // position of the first row of this forward
const STATE_STEP: u32 = 2u; // steps done in this generation
const STATE_DONE: u32 = 3u; // 1: a stop token came, later steps append nothing
