import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What quantising weights as they load needs. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(["../../../shaders/quantize_*.wgsl"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
