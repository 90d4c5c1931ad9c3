/**
 * The WGSL preprocessor and what the host reads from a kernel, so that a binding and a parameter
 * are declared once: in WGSL. Directives, each on a line of its own (design section 3):
 *
 *   #import name          the text of shared/<name>.wgsl, or of what the variant maps `name` to
 *   #if FLAG / #else / #endif
 *   #unroll i 0 N / #end  the body for i = 0 … N-1, `$i` replaced; N a number or a variant size
 */

/** One `var<…>` of a kernel, in group 0. */
export interface KernelBinding {
  readonly name: string;
  readonly index: number;
  readonly type: GPUBufferBindingType;
}

/** One scalar of a kernel's `Params` struct. */
export interface ParamField {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
}

export interface KernelSource {
  readonly name: string;
  /** Plain WGSL, directives resolved. */
  readonly code: string;
  readonly bindings: readonly KernelBinding[];
  readonly params: readonly ParamField[];
  /** `file:line` of every line of `code`, to quote in errors. */
  readonly origin: readonly string[];
}

/** How the directives of one kernel text are resolved. */
export interface WgslVariant {
  /** Names for which `#if` holds. */
  readonly flags?: readonly string[];
  /** Sizes that `#unroll` bounds may name; also usable in the text as `$NAME`. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Imports that the variant chooses: `{ weights: "weights_q4" }` serves `#import weights`. */
  readonly imports?: Readonly<Record<string, string>>;
}

interface Line {
  readonly text: string;
  readonly at: string;
}

const MAX_PARAM_BYTES = 64;

/** Resolve the directives of `text` and read its bindings and Params. */
export function parseKernel(
  name: string,
  text: string,
  shared: Readonly<Record<string, string>>,
  variant: WgslVariant = {},
): KernelSource {
  const lines = hoistEnables(expand(split(text, `${name}.wgsl`), shared, variant, new Set()));
  const code = lines.map((line) => line.text).join("\n");
  const params = readParams(code, name);
  return { name, code, bindings: readBindings(code), params, origin: lines.map(({ at }) => at) };
}

function split(text: string, file: string): Line[] {
  return text.split("\n").map((line, i) => ({ text: line, at: `${file}:${i + 1}` }));
}

function expand(
  lines: readonly Line[],
  shared: Readonly<Record<string, string>>,
  variant: WgslVariant,
  imported: Set<string>,
): Line[] {
  const out: Line[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as Line;
    const [directive, ...words] = line.text.trim().split(/\s+/);
    if (directive === "#import") {
      const key = variant.imports?.[words[0] ?? ""] ?? words[0] ?? "";
      const body = shared[key];
      if (body === undefined) throw new Error(`${line.at}: #import of unknown "${key}"`);
      if (imported.has(key)) continue;
      imported.add(key);
      out.push(...expand(split(body, `shared/${key}.wgsl`), shared, variant, imported));
    } else if (directive === "#if") {
      const { body, other, end } = takeIf(lines, i);
      const chosen = variant.flags?.includes(words[0] ?? "") ? body : other;
      out.push(...expand(chosen, shared, variant, imported));
      i = end;
    } else if (directive === "#unroll") {
      const end = matching(lines, i, "#unroll", "#end");
      const [variable = "", from, to] = words;
      const [first, last] = [bound(from, variant, line), bound(to, variant, line)];
      for (let n = first; n < last; n++) {
        const body = lines.slice(i + 1, end).map(({ text, at }) => ({
          text: text.replaceAll(new RegExp(`\\$${variable}\\b`, "g"), String(n)),
          at,
        }));
        out.push(...expand(body, shared, variant, imported));
      }
      i = end;
    } else if (directive?.startsWith("#")) {
      throw new Error(`${line.at}: unknown or misplaced directive "${directive}"`);
    } else {
      out.push({ text: replaceSizes(line.text, variant), at: line.at });
    }
  }
  return out;
}

function replaceSizes(text: string, { sizes = {} }: WgslVariant): string {
  return text.includes("$")
    ? text.replaceAll(/\$([A-Z][A-Z0-9_]*)/g, (whole, key: string) => String(sizes[key] ?? whole))
    : text;
}

function bound(word: string | undefined, { sizes = {} }: WgslVariant, line: Line): number {
  const value = /^\d+$/.test(word ?? "") ? Number(word) : sizes[word ?? ""];
  if (value === undefined) throw new Error(`${line.at}: #unroll bound "${word}" has no value`);
  return value;
}

function matching(lines: readonly Line[], start: number, open: string, close: string): number {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    const directive = (lines[i] as Line).text.trim().split(/\s+/)[0];
    if (directive === open) depth++;
    if (directive === close && --depth === 0) return i;
  }
  throw new Error(`${(lines[start] as Line).at}: ${open} without ${close}`);
}

function takeIf(
  lines: readonly Line[],
  start: number,
): { body: Line[]; other: Line[]; end: number } {
  const end = matching(lines, start, "#if", "#endif");
  let depth = 0;
  for (let i = start + 1; i < end; i++) {
    const directive = (lines[i] as Line).text.trim();
    if (directive.startsWith("#if ")) depth++;
    if (directive === "#endif") depth--;
    if (directive === "#else" && depth === 0) {
      return { body: lines.slice(start + 1, i), other: lines.slice(i + 1, end), end };
    }
  }
  return { body: lines.slice(start + 1, end), other: [], end };
}

/** WGSL wants every `enable` before the first declaration; an import may bring one in later. */
function hoistEnables(lines: readonly Line[]): Line[] {
  const isEnable = ({ text }: Line): boolean => /^(enable|requires|diagnostic)\b.*;/.test(text);
  return [...lines.filter(isEnable), ...lines.filter((line) => !isEnable(line))];
}

const BINDING =
  /^@group\(0\) @binding\((\d+)\) var<(uniform|storage, read|storage, read_write)> (\w+)\s*:/gm;

const BUFFER_TYPES: Readonly<Record<string, GPUBufferBindingType>> = {
  uniform: "uniform",
  "storage, read": "read-only-storage",
  "storage, read_write": "storage",
};

function readBindings(code: string): KernelBinding[] {
  return [...code.matchAll(BINDING)].map(([, index, access = "", name = ""]) => ({
    name,
    index: Number(index),
    type: BUFFER_TYPES[access] as GPUBufferBindingType,
  }));
}

function readParams(code: string, kernel: string): ParamField[] {
  const body = /^struct Params \{\n([^}]*)\}/m.exec(code)?.[1] ?? "";
  const fields = [...body.matchAll(/^\s*(\w+): (u32|i32|f32),/gm)];
  const declared = body.split("\n").filter((line) => /^\s*\w+\s*:/.test(line)).length;
  if (fields.length !== declared || fields.length * 4 > MAX_PARAM_BYTES) {
    throw new Error(`${kernel}.wgsl: Params holds scalars only, at most ${MAX_PARAM_BYTES} bytes`);
  }
  return fields.map(([, name = "", type]) => ({ name, type: type as ParamField["type"] }));
}
