import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What every answer needs: greedy, from the full cache, on a GPU. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(
    [
      "../../../shaders/argmax_*.wgsl",
      "../../../shaders/attention_{decode,merge,prefill}.wgsl",
      "../../../shaders/embed.wgsl",
      "../../../shaders/mat{mul_tile,vec_lanes}.wgsl",
      "../../../shaders/rope_append.wgsl",
      "../../../shaders/shared/{best_of,best_partial,finish_step,linear,order_key,row_groups,softmax,state}.wgsl",
      "../../../shaders/shared/{kv,weights}_*.wgsl",
    ],
    { query: "?raw", import: "default", eager: true },
  ),
);
