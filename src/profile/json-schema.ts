import { InvalidOptionError } from "../errors.ts";

/** The part of JSON Schema (2020-12) that our own schemas use. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  /** Into `$defs`. */
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly maxItems?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** Which property tells the members of `oneOf` apart. */
  readonly discriminator?: { readonly propertyName: string };
  readonly oneOf?: readonly JsonSchema[];
}

/**
 * Check a value that came out of a JSON text.
 * @throws InvalidOptionError with the path to what is wrong, what it is and what it must be.
 */
export function checkJson(schema: JsonSchema, value: unknown, path: string): void {
  check(schema, value, path, schema.$defs ?? {});
}

type Definitions = NonNullable<JsonSchema["$defs"]>;

function check(schema: JsonSchema, value: unknown, path: string, defs: Definitions): void {
  const { $ref, type, discriminator, oneOf } = schema;
  if ($ref !== undefined) {
    const named = defs[$ref.replace("#/$defs/", "")];
    if (named === undefined) throw new Error(`no definition ${$ref}`);
    check(named, value, path, defs);
  }
  if ("const" in schema && value !== schema.const) fail(path, JSON.stringify(schema.const), value);
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    fail(path, schema.enum.join(" or "), value);
  }
  const types = typeof type === "string" ? [type] : type;
  if (types !== undefined && !types.some((each) => isOf(each, value))) {
    fail(path, types.map((each) => TYPES[each]).join(" or "), value);
  }
  if (typeof value === "number") {
    const { minimum = -Infinity, maximum = Infinity } = schema;
    if (value < minimum) fail(path, `at least ${minimum}`, value);
    if (value > maximum) fail(path, `at most ${maximum}`, value);
  }
  if (Array.isArray(value)) checkItems(schema, value, path, defs);
  else if (typeof value === "object" && value !== null) {
    checkProperties(schema, value as Record<string, unknown>, path, defs);
    if (discriminator !== undefined && oneOf !== undefined) {
      const { propertyName } = discriminator;
      const kind = (value as Record<string, unknown>)[propertyName];
      const kinds = oneOf.map((each) => each.properties?.[propertyName]?.const);
      const chosen = oneOf[kinds.indexOf(kind)];
      if (chosen === undefined) fail(`${path}.${propertyName}`, kinds.join(" or "), kind);
      check(chosen, value, path, defs);
    }
  }
}

function checkItems(
  { items, maxItems = Infinity }: JsonSchema,
  list: readonly unknown[],
  path: string,
  defs: Definitions,
): void {
  if (list.length > maxItems) fail(path, `at most ${maxItems} items`, list.length);
  if (items === undefined) return;
  list.forEach((each, at) => check(items, each, `${path}[${at}]`, defs));
}

function checkProperties(
  { properties = {}, required = [] }: JsonSchema,
  given: Readonly<Record<string, unknown>>,
  path: string,
  defs: Definitions,
): void {
  for (const [name, schema] of Object.entries(properties)) {
    if (Object.hasOwn(given, name)) check(schema, given[name], `${path}.${name}`, defs);
    else if (required.includes(name)) check(schema, undefined, `${path}.${name}`, defs);
  }
  for (const name of required) {
    if (!Object.hasOwn(given, name)) fail(`${path}.${name}`, "there", undefined);
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  null: "null",
};

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case "number":
      return Number.isFinite(value);
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}

function fail(path: string, expected: string, value: unknown): never {
  const got = typeof value === "object" ? JSON.stringify(value)?.slice(0, 60) : String(value);
  throw new InvalidOptionError(path, got ?? "nothing", expected);
}
