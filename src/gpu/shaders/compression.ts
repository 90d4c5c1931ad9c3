import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What a cache needs that evicts. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(
    [
      "../../../shaders/{compact,kept,place,pool,score,select,split}_*.wgsl",
      "../../../shaders/shared/{kept_rows,rank,window_logits}.wgsl",
    ],
    { query: "?raw", import: "default", eager: true },
  ),
);
