import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What quantising weights as they load needs. */
export const TEXTS: ShaderTexts = shaderTexts(
  import.meta.glob(["../../../shaders/quantize_*.wgsl"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
