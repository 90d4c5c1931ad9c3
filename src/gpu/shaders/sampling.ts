import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What choosing a token needs where it isn't the best one. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(
    [
      "../../../shaders/{count,sample}_*.wgsl",
      "../../../shaders/shared/{crossing,random,sampling_bins}.wgsl",
    ],
    { query: "?raw", import: "default", eager: true },
  ),
);
