import { MODEL_SHAPES, type ModelShape } from "../src/profile.ts";

/** The model that the page offers first; `npm start` and the fetch script put the file there. */
export const DEFAULT_MODEL = {
  name: "SmolLM2-135M-Instruct",
  about: "135 million parameters, Q4_1, Apache-2.0",
  /** Relative to the page, so that the site works from any folder. */
  path: "models/SmolLM2-135M-Instruct-Q4_1.gguf",
  /** What its memory is foretold from, before the file is there. */
  shape: MODEL_SHAPES[0] as ModelShape,
  weights: "q4",
} as const;

/** The model's address beside a page at `base`. */
export function defaultModelUrl(base: string): URL {
  return new URL(DEFAULT_MODEL.path, base);
}
