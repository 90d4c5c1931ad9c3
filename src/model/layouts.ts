import { planarLayout, type PlanarLayout } from "../formats/planar.ts";
import type { GgufFile } from "../formats/gguf.ts";
import { architectureOf, type ModelConfig } from "./config.ts";
import type { LinearUse } from "./linear.ts";

/** What a file's tensors ask for, by role. */
export interface ModelLayouts {
  readonly linear: readonly LinearUse[];
  readonly embedding: readonly PlanarLayout[];
}

/**
 * The kinds of linear layers that a file's tensors ask for, so that their kernels compile while the
 * weights still stream.
 */
export function modelLayouts(file: GgufFile, config: ModelConfig): ModelLayouts {
  const layouts = (...parts: readonly string[]): PlanarLayout[] => {
    const found = new Map<string, PlanarLayout>();
    for (const [name, { type }] of file.tensors) {
      if (parts.some((part) => name === part || name.endsWith(`.${part}`))) {
        const layout = planarLayout(type);
        found.set(JSON.stringify(layout), layout);
      }
    }
    return [...found.values()];
  };
  const plain = { norm: false, bias: false, residual: false, gated: false, tokens: "any" } as const;
  const bias = architectureOf(config).qkvBias;
  const head = file.tensors.has("output.weight") ? "output.weight" : "token_embd.weight";
  const qkv = layouts("attn_q.weight", "attn_k.weight", "attn_v.weight");
  const linear = [
    { ...plain, layouts: qkv, norm: true, bias },
    { ...plain, layouts: layouts("attn_output.weight", "ffn_down.weight"), residual: true },
    { ...plain, layouts: layouts("ffn_gate.weight"), norm: true, gated: true },
    { ...plain, layouts: layouts(head), norm: true },
  ];
  return { linear, embedding: layouts("token_embd.weight") };
}
