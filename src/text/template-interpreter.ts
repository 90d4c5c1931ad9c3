import type { Environment } from "@huggingface/jinja";
import { BlockInterpreter, toTemplateValue } from "./template-blocks.ts";
import { templateError } from "./template-errors.ts";
import { chargeFilter, checkFilter } from "./template-filters.ts";
import type { Meter } from "./template-meter.ts";
import { child, children, textField } from "./template-nodes.ts";
import type { Statement, TemplateNode, TemplateValue } from "./template-nodes.ts";
import { Role, type TemplateProgram } from "./template-program.ts";
import {
  STRING_FILTERS,
  STRING_METHODS,
  type StringMethod,
  type StringTools,
} from "./template-strings.ts";

/** Nodes inside nodes; the deepest template that models come with takes about 30. */
const MAX_DEPTH = 200;
/** A scope and the loop's own variables, for each round of a loop. */
const STEPS_PER_ROUND = 12;
/** A call makes a scope. */
const STEPS_PER_CALL = 4;

const UNDEFINED = /* @__PURE__ */ toTemplateValue(undefined);

/** A node that stands for a value that was worked out already. */
function constant(value: TemplateValue): TemplateNode {
  return { type: "Constant", value };
}

/** An argument whose value was worked out already. */
function frozen(node: TemplateNode, value: TemplateValue): TemplateNode {
  const named = node.type === "KeywordArgumentExpression";
  return named ? { ...node, value: constant(value) } : constant(value);
}

/**
 * The package's interpreter with a limit on work and size (template-meter.ts), Jinja's loops (template-blocks.ts),
 * Python's string methods (template-strings.ts), and comparisons that see through the marks on the template's own
 * text (template-marks.ts). It stops a template by itself, without worker or timer, in the middle of any loop.
 */
export class MeteredInterpreter extends BlockInterpreter {
  readonly #program: TemplateProgram;
  readonly #meter: Meter;
  readonly #tools: StringTools;
  #depth = 0;

  /** @param reveal undoes the marks in a text. */
  constructor(
    program: TemplateProgram,
    globals: Environment,
    meter: Meter,
    reveal: (text: string) => string,
  ) {
    super(globals);
    this.#program = program;
    this.#meter = meter;
    this.#tools = {
      reveal,
      spend: (steps) => meter.spend(steps),
      assertLength: (chars) => meter.assertLength(chars),
    };
  }

  /** Evaluates a node and all under it; the package calls this for each of them. */
  override evaluate(statement: Statement | undefined, scope: Environment): TemplateValue {
    if (statement === undefined) return UNDEFINED;
    const node = statement as unknown as TemplateNode;
    this.#meter.spend(1);
    if (this.#depth === MAX_DEPTH) throw templateError("nests or calls itself too deeply");
    this.#depth++;
    try {
      // Filters like `first` give a bare undefined for an empty list.
      return this.#settle(
        node,
        (this.#work(node, scope) as TemplateValue | undefined) ?? UNDEFINED,
      );
    } finally {
      this.#depth--;
    }
  }

  /** Checks and charges a value by what becomes of it. */
  #settle(node: TemplateNode, value: TemplateValue): TemplateValue {
    const meter = this.#meter;
    meter.note(value);
    const role = this.#program.roles.get(node) ?? 0;
    if (role === 0) return value;
    if (role & (Role.scanned | Role.written)) meter.scan(value);
    if (role & Role.searched) meter.search(value);
    if (role & Role.iterated) meter.spend(STEPS_PER_ROUND * meter.entries(value));
    if (role & Role.kept) meter.assertNoNamespace(value);
    return role & Role.compared ? this.#revealed(value) : value;
  }

  /** A text, or a list of texts, as a reader sees it. */
  #revealed(value: TemplateValue): TemplateValue {
    const { reveal } = this.#tools;
    if (typeof value.value === "string") {
      const seen = reveal(value.value);
      return seen === value.value ? value : toTemplateValue(seen);
    }
    if (!Array.isArray(value.value) || value.value.length === 0) return value;
    const texts = value.value.map((item) => item.value);
    if (!texts.every((text) => typeof text === "string")) return value;
    return toTemplateValue(texts.map(reveal));
  }

  #work(node: TemplateNode, scope: Environment): TemplateValue {
    switch (node.type) {
      case "Constant":
        return node["value"] as TemplateValue;
      case "Identifier":
        return this.#lookUp(textField(node, "value"), scope);
      case "Macro":
      case "CallStatement":
        this.#meter.spend(this.#program.weights.get(node) ?? 0);
        return this.#inherited(node, scope);
      case "CallExpression":
        return this.#call(node, scope);
      case "MemberExpression":
        return this.#member(node, scope);
      case "FilterExpression":
        return this.#filter(this.#part(node, "operand", scope), child(node, "filter"), scope);
      case "FilterStatement": {
        const body: TemplateNode = { type: "Program", body: node["body"] };
        return this.#filter(this.#value(body, scope), child(node, "filter"), scope);
      }
      default:
        return this.#inherited(node, scope);
    }
  }

  /** What the package makes of a node. */
  #inherited(node: TemplateNode, scope: Environment): TemplateValue {
    return super.evaluate(node as unknown as Statement, scope);
  }

  #value(node: TemplateNode | undefined, scope: Environment): TemplateValue {
    return this.evaluate(node as unknown as Statement | undefined, scope);
  }

  #part(node: TemplateNode, field: string, scope: Environment): TemplateValue {
    return this.#value(child(node, field), scope);
  }

  /** As the package does, but without an exception for each unknown name. */
  #lookUp(name: string, from: Environment): TemplateValue {
    let hops = 0;
    for (let scope: Environment | undefined = from; scope; scope = scope.parent) {
      const value = scope.variables.get(name);
      if (value !== undefined) return value;
      if (++hops % 16 === 0) this.#meter.spend(1);
    }
    return UNDEFINED;
  }

  #call(node: TemplateNode, scope: Environment): TemplateValue {
    this.#meter.spend(STEPS_PER_CALL);
    const callee = child(node, "callee");
    if (callee?.type === "Identifier") {
      const name = textField(callee, "value");
      if (this.#lookUp(name, scope).type !== "FunctionValue") {
        throw templateError(`calls the unknown function "${name}"`);
      }
    }
    if (callee?.type !== "MemberExpression") return this.#made(this.#inherited(node, scope));
    const method = this.#value(callee, scope);
    if (method.type !== "FunctionValue") {
      throw templateError(
        `calls the unknown method "${textField(child(callee, "property"), "value")}"`,
      );
    }
    return this.#made(this.#inherited({ ...node, callee: constant(method) }, scope));
  }

  /** A new namespace may not hold another one. */
  #made(value: TemplateValue): TemplateValue {
    if (value.type === "NamespaceValue") this.#meter.sizeOf(value);
    return value;
  }

  /** Of a text: one of our methods, or else a character, slice or method of the package. */
  #member(node: TemplateNode, scope: Environment): TemplateValue {
    const object = this.#part(node, "object", scope);
    const member = { ...node, object: constant(object) };
    const property = child(node, "property");
    if (typeof object.value !== "string" || !property) return this.#inherited(member, scope);
    if (property.type === "SliceExpression") {
      // The package goes through the characters one by one.
      this.#meter.spend(object.value.length >>> 3);
      return this.#inherited(member, scope);
    }
    const computed = node["computed"] === true;
    const key = computed ? this.#value(property, scope) : undefined;
    const method = STRING_METHODS.get(String(key ? key.value : property["value"]));
    if (method) return this.#bind(method, object.value);
    return this.#inherited(key ? { ...member, property: constant(key) } : member, scope);
  }

  /** A method as a function of the template; named arguments come as a map after the others. */
  #bind(method: StringMethod, text: string): TemplateValue {
    return toTemplateValue((...args: unknown[]) => {
      const last = args.at(-1);
      if (!(last instanceof Map)) return method(this.#tools, text, args, new Map());
      const named = Array.from(
        last as Map<string, TemplateValue>,
        ([k, v]) => [k, v.value] as const,
      );
      return method(this.#tools, text, args.slice(0, -1), new Map(named));
    });
  }

  #filter(
    operand: TemplateValue,
    filter: TemplateNode | undefined,
    scope: Environment,
  ): TemplateValue {
    const called = filter?.type === "CallExpression";
    const name = textField(called ? child(filter, "callee") : filter, "value");
    const args = called ? children(filter, "args") : [];
    const method = STRING_METHODS.get(STRING_FILTERS.get(name) ?? "");
    if (typeof operand.value === "string" && method) {
      const callee = constant(this.#bind(method, operand.value));
      return this.#inherited({ type: "CallExpression", callee, args }, scope);
    }
    chargeFilter(this.#meter, name, operand);
    // The package wants the arguments of these as they stand.
    const literal = name === "selectattr" || name === "rejectattr";
    let applied = filter;
    if (called && !literal) {
      const values = args.map((argument) => this.#argument(argument, scope));
      checkFilter(this.#meter, name, operand, values);
      applied = { ...filter, args: args.map((node, i) => frozen(node, values[i] ?? UNDEFINED)) };
    }
    const node = { type: "FilterExpression", operand: constant(operand), filter: applied };
    return this.#inherited(node, scope);
  }

  /** The value of a filter's argument, by position or by name. */
  #argument(node: TemplateNode, scope: Environment): TemplateValue {
    if (node.type.endsWith("SpreadExpression")) {
      throw templateError("unpacks the arguments of a filter");
    }
    return this.#value(
      node.type === "KeywordArgumentExpression" ? child(node, "value") : node,
      scope,
    );
  }
}
