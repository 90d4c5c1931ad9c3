/** Texts of kernels, and of parts that they `#import`, by name. */
export interface ShaderTexts {
  readonly kernels: Readonly<Record<string, string>>;
  readonly shared: Readonly<Record<string, string>>;
}

/** Texts by the paths of their files. */
export function shaderTexts(files: Readonly<Record<string, string>>): ShaderTexts {
  const kernels: Record<string, string> = {};
  const shared: Record<string, string> = {};
  for (const [path, text] of Object.entries(files)) {
    const name = path.replace(/^.*\/|\.wgsl$/g, "");
    (path.includes("/shared/") ? shared : kernels)[name] = text;
  }
  return { kernels, shared };
}
