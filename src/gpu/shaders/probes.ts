import { type ShaderTexts, shaderTexts } from "./texts.ts";

/** What shows how much an adapter can reach. */
export const TEXTS: ShaderTexts = shaderTexts(
  import.meta.glob(["../../../shaders/probe_*.wgsl"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
