import { Environment, Interpreter } from "@huggingface/jinja";
import { child, textField } from "./template-nodes.ts";
import type { Statement, TemplateNode, TemplateValue } from "./template-nodes.ts";

/** Turns a JavaScript value into a value of a template. */
export function toTemplateValue(value: unknown): TemplateValue {
  return new Environment().set("value", value);
}

// The package doesn't export its classes of values. Pure, so that apps without templates don't get it.
const TextValue = /* @__PURE__ */ (() => toTemplateValue("").constructor)() as new (
  text: string,
) => TemplateValue;
const UNDEFINED = /* @__PURE__ */ toTemplateValue(undefined);

/** `break` or `continue` on its way to its loop, with what was written before it. */
class LoopExit extends Error {
  readonly kind: string;
  text = "";
  constructor(kind: string) {
    super(`${kind.toLowerCase()} outside of a loop`);
    this.kind = kind;
  }
}

/**
 * The package's interpreter with blocks and loops as in Jinja: what a round writes before `continue` or `break`
 * counts, and what it sets is gone in the next round; the package loses the one and keeps the other.
 */
export class BlockInterpreter extends Interpreter {
  override evaluate(statement: Statement | undefined, scope: Environment): TemplateValue {
    const node = statement as unknown as TemplateNode | undefined;
    switch (node?.type) {
      case "Program":
        return new TextValue(this.#block(node["body"], scope));
      case "If": {
        const holds = isTrue(this.#evaluate(child(node, "test"), scope));
        return new TextValue(this.#block(node[holds ? "body" : "alternate"], scope));
      }
      case "For":
        return new TextValue(this.#loop(node, scope));
      case "Break":
      case "Continue":
        throw new LoopExit(node.type);
      default:
        return super.evaluate(statement, scope);
    }
  }

  #evaluate(node: TemplateNode | undefined, scope: Environment): TemplateValue {
    return this.evaluate(node as unknown as Statement | undefined, scope);
  }

  /** What a list of statements writes. */
  #block(statements: unknown, scope: Environment): string {
    let text = "";
    try {
      for (const statement of statements as readonly Statement[]) {
        const value = this.evaluate(statement, scope);
        if (value.type !== "NullValue" && value.type !== "UndefinedValue") text += value.toString();
      }
    } catch (error) {
      if (error instanceof LoopExit) error.text = text + error.text;
      throw error;
    }
    return text;
  }

  #loop(node: TemplateNode, scope: Environment): string {
    const variable = child(node, "loopvar");
    const items = this.#items(node, variable, scope);
    if (items.length === 0) return this.#block(node["defaultBlock"], scope);
    let text = "";
    for (const [i, item] of items.entries()) {
      const round = new Environment(scope);
      round.setVariable("loop", loopObject(items, i));
      bind(variable, item, round);
      try {
        text += this.#block(node["body"], round);
      } catch (error) {
        if (!(error instanceof LoopExit)) throw error;
        text += error.text;
        if (error.kind === "Break") break;
      }
    }
    return text;
  }

  /** What a loop goes through: the entries of a list, or the keys of an object, that meet its condition. */
  #items(
    node: TemplateNode,
    variable: TemplateNode | undefined,
    scope: Environment,
  ): readonly TemplateValue[] {
    const source = child(node, "iterable");
    const condition = source?.type === "SelectExpression" ? child(source, "test") : undefined;
    const { type, value } = this.#evaluate(
      condition ? child(source as TemplateNode, "lhs") : source,
      scope,
    );
    const keys = value instanceof Map ? [...value.keys()].map((key) => new TextValue(key)) : value;
    if (!Array.isArray(keys)) throw new Error(`a loop over a ${type}`);
    if (condition === undefined) return keys;
    return keys.filter((item: TemplateValue) => {
      const inner = new Environment(scope);
      bind(variable, item, inner);
      return isTrue(this.#evaluate(condition, inner));
    });
  }
}

/** Sets a loop's variable, or its several variables. */
function bind(variable: TemplateNode | undefined, item: TemplateValue, scope: Environment): void {
  if (variable?.type !== "TupleLiteral") {
    scope.setVariable(textField(variable, "value"), item);
    return;
  }
  const names = variable["value"] as readonly TemplateNode[];
  if (!Array.isArray(item.value) || item.value.length !== names.length) {
    throw new Error(`a loop with ${names.length} variables over entries of another length`);
  }
  for (const [i, name] of names.entries()) {
    scope.setVariable(textField(name, "value"), item.value[i] ?? UNDEFINED);
  }
}

function loopObject(items: readonly TemplateValue[], i: number): TemplateValue {
  const count = items.length;
  const facts = { index: i + 1, index0: i, revindex: count - i, revindex0: count - i - 1 };
  const loop = toTemplateValue({ ...facts, first: i === 0, last: i === count - 1, length: count });
  const entries = loop.value as Map<string, TemplateValue>;
  entries.set("previtem", items[i - 1] ?? UNDEFINED);
  entries.set("nextitem", items[i + 1] ?? UNDEFINED);
  return loop;
}

/** Truth as in Python: empty texts, lists and objects are false. */
function isTrue({ type, value }: TemplateValue): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0 || type === "NamespaceValue";
  return Boolean(value);
}
