// The rows that each KV head of a layer keeps, as place_heads and select_topk have left them. The
// kernel declares `heads`, `kept` and the params spare_rows and keeps_all.

// Candidate that goes to row `slot` of the head: candidates are its old rows, then its staged ones.
fn kept_candidate(head: u32, slot: u32) -> u32 {
    if (params.keeps_all != 0u) {
        return slot;
    }
    return kept[heads[head].w - head * params.spare_rows + slot];
}
