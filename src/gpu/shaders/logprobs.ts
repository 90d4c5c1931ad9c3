import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What log-probabilities need. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(
    [
      "../../../shaders/{logprob,token_logprob}*.wgsl",
      "../../../shaders/shared/{log_sum,logit_parts}.wgsl",
    ],
    { query: "?raw", import: "default", eager: true },
  ),
);
