import { Environment, Interpreter } from "@huggingface/jinja";
import { templateError } from "./template-errors.ts";
import type { Meter } from "./template-meter.ts";
import { child, children, textField } from "./template-nodes.ts";
import type { Statement, TemplateNode, TemplateValue } from "./template-nodes.ts";
import { Role, type TemplateProgram } from "./template-program.ts";
import { STRING_FILTERS, STRING_METHODS, type StringMethod } from "./template-strings.ts";

/** Nodes inside nodes; the deepest template that models come with needs under 100. */
const MAX_DEPTH = 400;
/** A scope and the loop's own variables, for each round of a loop. */
const STEPS_PER_ROUND = 4;
/** A call makes a scope. */
const STEPS_PER_CALL = 4;

/** Filters that look at a whole value, so that their work is more than one step per entry. */
const DEEP_FILTERS: ReadonlySet<string> = new Set(["tojson", "string", "join", "sort", "unique"]);

/** Turns a JavaScript value into a value of a template. */
export function toTemplateValue(value: unknown): TemplateValue {
  return new Environment().set("value", value);
}

const UNDEFINED = toTemplateValue(undefined);

/** A node that stands for a value that was worked out already. */
function constant(value: TemplateValue): TemplateNode {
  return { type: "Constant", value };
}

/**
 * The package's interpreter with a limit on work and size (template-meter.ts), Python's string methods
 * (template-strings.ts), and comparisons that see through the marks on the template's own text (template-marks.ts).
 * It stops a template by itself, without worker or timer, in the middle of any loop.
 */
export class MeteredInterpreter extends Interpreter {
  readonly #program: TemplateProgram;
  readonly #meter: Meter;
  readonly #reveal: (text: string) => string;
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
    this.#reveal = reveal;
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
    if (role & Role.compared && typeof value.value === "string") {
      const seen = this.#reveal(value.value);
      if (seen !== value.value) return toTemplateValue(seen);
    }
    return value;
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
    if (callee?.type !== "MemberExpression" || callee["computed"] === true) {
      return this.#made(this.#inherited(node, scope));
    }
    const receiver = this.#part(callee, "object", scope);
    const method = STRING_METHODS.get(textField(child(callee, "property"), "value"));
    if (typeof receiver.value === "string" && method) {
      return this.#apply(method, receiver.value, children(node, "args"), scope);
    }
    return this.#inherited({ ...node, callee: { ...callee, object: constant(receiver) } }, scope);
  }

  /** A new namespace may not hold another one. */
  #made(value: TemplateValue): TemplateValue {
    if (value.type === "NamespaceValue") this.#meter.sizeOf(value);
    return value;
  }

  #apply(
    method: StringMethod,
    text: string,
    nodes: readonly TemplateNode[],
    scope: Environment,
  ): TemplateValue {
    const args: unknown[] = [];
    const named = new Map<string, unknown>();
    for (const node of nodes) {
      if (node.type === "KeywordArgumentExpression") {
        named.set(textField(child(node, "key"), "value"), this.#part(node, "value", scope).value);
      } else args.push(this.#value(node, scope).value);
    }
    const meter = this.#meter;
    const tools = {
      reveal: this.#reveal,
      spend: (steps: number) => meter.spend(steps),
      assertLength: (chars: number) => meter.assertLength(chars),
    };
    return toTemplateValue(method(tools, text, args, named));
  }

  /** Slices of strings go through their characters one by one. */
  #member(node: TemplateNode, scope: Environment): TemplateValue {
    const object = this.#part(node, "object", scope);
    const sliced = child(node, "property")?.type === "SliceExpression";
    if (sliced && typeof object.value === "string") this.#meter.spend(object.value.length >>> 3);
    return this.#inherited({ ...node, object: constant(object) }, scope);
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
      return this.#apply(method, operand.value, args, scope);
    }
    this.#chargeFilter(name, operand);
    // The package wants the arguments of these as they stand.
    const literal = name === "selectattr" || name === "rejectattr";
    let applied = filter;
    if (called && !literal) {
      const frozen = args.map((argument) => this.#freeze(argument, scope));
      this.#checkFilter(name, operand, frozen);
      applied = { ...filter, args: frozen };
    }
    const node = { type: "FilterExpression", operand: constant(operand), filter: applied };
    return this.#inherited(node, scope);
  }

  #chargeFilter(name: string, operand: TemplateValue): void {
    const meter = this.#meter;
    if (typeof operand.value !== "string" && DEEP_FILTERS.has(name)) meter.scan(operand);
    else meter.search(operand);
    if (name === "sort" || name === "dictsort") {
      const entries = meter.entries(operand);
      const rounds = Math.ceil(Math.log2(entries + 1));
      meter.spend(rounds * (entries + (meter.sizeOf(operand).chars >>> 7)));
    }
  }

  /** Works an argument out beforehand, so that its size is known. */
  #freeze(argument: TemplateNode, scope: Environment): TemplateNode {
    if (argument.type === "KeywordArgumentExpression") {
      return { ...argument, value: constant(this.#part(argument, "value", scope)) };
    }
    if (argument.type.endsWith("SpreadExpression")) {
      throw templateError("unpacks the arguments of a filter");
    }
    return constant(this.#value(argument, scope));
  }

  /** Bounds the results of filters that can make much out of little. */
  #checkFilter(name: string, operand: TemplateValue, args: readonly TemplateNode[]): void {
    const meter = this.#meter;
    const { chars, depth } = meter.sizeOf(operand);
    const isText = typeof operand.value === "string";
    for (const argument of args) {
      const node = argument.type === "Constant" ? argument : child(argument, "value");
      const { value } = (node?.["value"] ?? UNDEFINED) as TemplateValue;
      if (typeof value === "string" && name === "join") {
        // A text is joined character by character.
        if (isText) meter.spend(chars >>> 3);
        meter.assertLength(chars + (isText ? chars : meter.entries(operand)) * value.length);
      }
      // Each line, or each entry of JSON, starts with its indentation.
      if (typeof value === "number" && (name === "indent" || name === "tojson")) {
        meter.assertLength(chars + this.#lines(operand) * value * (1 + depth));
      }
    }
  }

  #lines(value: TemplateValue): number {
    if (typeof value.value === "string") return value.value.split("\n").length;
    return this.#meter.sizeOf(value).chars >>> 1;
  }
}
