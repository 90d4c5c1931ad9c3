import { parse, tokenize } from "@huggingface/jinja";
import { templateError } from "./template-errors.ts";
import { allChildren, child, children, isNode, textField } from "./template-nodes.ts";
import type { TemplateNode } from "./template-nodes.ts";

/** What becomes of the value of a node, as bits. */
export const Role = {
  /** Compared with, or looked for in, other text. */
  compared: 1,
  /** Looked at whole, down to the last letter, by an operation whose result doesn't show its size. */
  scanned: 2,
  /** Looked through: texts whole, of lists and objects only the entries. */
  searched: 4,
  /** Gone through by a loop. */
  iterated: 8,
  /** Written to the output. */
  written: 16,
  /** Kept in a namespace. */
  kept: 32,
} as const;

/** A text in the template, between its tags or in quotes. */
export interface TextNode extends TemplateNode {
  value: string;
}

/** A parsed template, with what the interpreter needs to know about its nodes beforehand. */
export interface TemplateProgram {
  readonly root: ReturnType<typeof parse>;
  /** Bits of `Role` by node; a node without any isn't in it. */
  readonly roles: ReadonlyMap<object, number>;
  /** Nodes inside a macro or call block: the package goes through them all wherever it meets its definition. */
  readonly weights: ReadonlyMap<object, number>;
  /** The texts in the template; they may be changed. */
  readonly literals: readonly TextNode[];
}

/** Longest template, in UTF-16 units; the longest that models come with have about 20,000. */
const MAX_SOURCE = 200_000;
/** The package's lexer takes quadratic time over a run of white space; those of real templates are under 100 long. */
const LONG_WHITE_RUN = /\s{500}/;

/** Operators whose sides are compared, and how those are looked at. */
const COMPARISONS: ReadonlyMap<string, number> = new Map([
  ["==", Role.scanned],
  ["!=", Role.scanned],
  ["in", Role.searched],
  ["not in", Role.searched],
]);
/** Filters whose arguments are written out, by the index of the first such argument. */
const WRITTEN_ARGUMENTS: ReadonlyMap<string, number> = new Map([
  ["default", 0],
  ["join", 0],
  ["replace", 1],
]);

/**
 * Parses a chat template.
 * @throws ChatTemplateError where it is too long or has a syntax error.
 */
export function parseTemplate(source: string): TemplateProgram {
  if (source.length > MAX_SOURCE) {
    throw templateError(`is ${source.length} characters long (at most ${MAX_SOURCE} are read)`);
  }
  if (LONG_WHITE_RUN.test(source)) throw templateError("has 500 spaces or line ends in a row");
  const roles = new Map<object, number>();
  const weights = new Map<object, number>();
  const literals: TextNode[] = [];

  function visit(node: TemplateNode): number {
    assignRoles(node, (target, role) => roles.set(target, (roles.get(target) ?? 0) | role));
    if (node.type === "StringLiteral") literals.push(node as TextNode);
    let weight = 1;
    for (const inner of allChildren(node)) weight += visit(inner);
    if (node.type === "Macro" || node.type === "CallStatement") weights.set(node, weight);
    return weight;
  }

  try {
    const root = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    visit(root as unknown as TemplateNode);
    return { root, roles, weights, literals };
  } catch (error) {
    throw templateError(`is broken: ${describeSyntaxError(error)}`, { cause: error });
  }
}

/** The package's parser runs off the end of a cut-off template with a TypeError. */
function describeSyntaxError(error: unknown): string {
  if (error instanceof TypeError) return "it ends in the middle of a statement";
  if (error instanceof RangeError) return "it nests too deeply";
  return error instanceof Error ? error.message : String(error);
}

type Assign = (target: TemplateNode, role: number) => void;

function assignRoles(node: TemplateNode, assign: Assign): void {
  const give = (target: TemplateNode | undefined, role: number) => {
    if (target) assign(target, role);
  };
  for (const body of ["body", "alternate", "defaultBlock"]) {
    for (const statement of children(node, body)) assign(statement, Role.written);
  }
  switch (node.type) {
    case "BinaryExpression": {
      const role = COMPARISONS.get(textField(child(node, "operator"), "value"));
      if (role === undefined) break;
      for (const side of ["left", "right"]) {
        give(child(node, side), role);
        assignCompared(child(node, side), assign);
      }
      break;
    }
    case "TestExpression": {
      const test = textField(child(node, "test"), "value");
      if (test === "lower" || test === "upper") give(child(node, "operand"), Role.scanned);
      break;
    }
    case "For": {
      const iterable = child(node, "iterable");
      const filtered = iterable?.type === "SelectExpression"; // for … in … if …
      give(filtered ? child(iterable, "lhs") : iterable, Role.iterated);
      break;
    }
    case "MemberExpression":
      if (node["computed"] === true) assignCompared(child(node, "property"), assign);
      break;
    case "ObjectLiteral":
      if (node["value"] instanceof Map) {
        for (const key of node["value"].keys()) if (isNode(key)) assignCompared(key, assign);
      }
      break;
    case "CallExpression":
      if (child(node, "callee")?.type === "MemberExpression") assignArguments(node, assign);
      break;
    case "FilterExpression":
    case "FilterStatement":
      assignArguments(child(node, "filter"), assign);
      break;
    case "Set":
      if (child(node, "assignee")?.type === "MemberExpression")
        give(child(node, "value"), Role.kept);
      break;
  }
}

/** Arguments of methods and filters are compared with text, but for those that are written. */
function assignArguments(call: TemplateNode | undefined, assign: Assign): void {
  if (call?.type !== "CallExpression") return;
  const callee = child(call, "callee");
  const name =
    textField(callee, "value") || textField(callee && child(callee, "property"), "value");
  const written = WRITTEN_ARGUMENTS.get(name) ?? Infinity;
  for (const [index, argument] of children(call, "args").entries()) {
    if (index < written) assignCompared(argument, assign);
  }
}

function assignCompared(node: TemplateNode | undefined, assign: Assign): void {
  if (node === undefined) return;
  assign(node, Role.compared);
  if (node.type === "ArrayLiteral" || node.type === "TupleLiteral") {
    for (const element of children(node, "value")) assign(element, Role.compared);
  }
  if (node.type === "KeywordArgumentExpression") assignCompared(child(node, "value"), assign);
}
