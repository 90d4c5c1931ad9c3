import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What adapters that compute on a CPU have in place of some kernels for GPUs. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(["../../../shaders/{attention,matmul,matvec}_*rows.wgsl"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
