/**
 * The eight 6-bit scales and eight 6-bit minimums of a Q4_K or Q5_K block, unpacked from its 12 bytes at `at`.
 * Bytes 0-3 and 4-7 hold scales and minimums 0-3 in their low six bits, and in their top two bits the top two of
 * 4-7; bytes 8-11 hold the low four bits of scales (low nibble) and minimums (high nibble) 4-7.
 *
 * @param out 16 bytes: scales, then minimums.
 */
export function unpackKScales(bytes: Uint8Array, at: number, out: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    const scale = bytes[at + j]!;
    const minimum = bytes[at + 4 + j]!;
    const low = bytes[at + 8 + j]!;
    out[j] = scale & 63;
    out[j + 8] = minimum & 63;
    out[j + 4] = (low & 15) | ((scale >> 6) << 4);
    out[j + 12] = (low >> 4) | ((minimum >> 6) << 4);
  }
}
