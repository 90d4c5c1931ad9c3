import type { Interpreter } from "@huggingface/jinja";

/** A node of a parsed template; the package exports no types for them, so fields are read by name and checked. */
export interface TemplateNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A value while a template runs. */
export type TemplateValue = ReturnType<Interpreter["evaluate"]>;

/** The node type that the package's `evaluate` takes. */
export type Statement = NonNullable<Parameters<Interpreter["evaluate"]>[0]>;

/** Whether something is a node. */
export function isNode(thing: unknown): thing is TemplateNode {
  return typeof thing === "object" && thing !== null && "type" in thing && !("length" in thing);
}

/** A node in a field, if there is one. */
export function child(node: TemplateNode, field: string): TemplateNode | undefined {
  const value = node[field];
  return isNode(value) ? value : undefined;
}

/** The nodes in a field that holds a list. */
export function children(node: TemplateNode, field: string): readonly TemplateNode[] {
  const value = node[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The text in a field, as the name of an identifier has it. */
export function textField(node: TemplateNode | undefined, field: string): string {
  const value = node?.[field];
  return typeof value === "string" ? value : "";
}

/** All nodes right under a node, whatever field they are in. */
export function allChildren(node: TemplateNode): TemplateNode[] {
  const found: TemplateNode[] = [];
  for (const value of Object.values(node)) {
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) found.push(...value.filter(isNode));
    else if (value instanceof Map) for (const entry of value) found.push(...entry.filter(isNode));
  }
  return found;
}
