const byPath = (files: Record<string, string>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(files).map(([path, text]) => [path.replace(/^.*\/|\.wgsl$/g, ""), text]),
  );

/** The text of every kernel, by kernel name. */
export const KERNEL_TEXTS: Readonly<Record<string, string>> = byPath(
  import.meta.glob("../../shaders/*.wgsl", { query: "?raw", import: "default", eager: true }),
);

/** The text of every importable part, by its name. */
export const SHARED_TEXTS: Readonly<Record<string, string>> = byPath(
  import.meta.glob("../../shaders/shared/*.wgsl", {
    query: "?raw",
    import: "default",
    eager: true,
  }),
);
