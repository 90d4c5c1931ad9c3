import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What shows how much an adapter can reach. */
export const TEXTS: ShaderTexts = /* @__PURE__ */ shaderTexts(
  import.meta.glob(["../../../shaders/probe_*.wgsl"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
