import { Environment } from "@huggingface/jinja";
import { ChatTemplateError, InvalidOptionError } from "../errors.ts";
import { longestFirst, splitOnTokens, type SpecialToken } from "./special-tokens.ts";
import { MeteredInterpreter } from "./template-interpreter.ts";
import { strftime } from "./template-date.ts";
import { templateError } from "./template-errors.ts";
import { createMarks, type Aside, type Marks } from "./template-marks.ts";
import { Meter } from "./template-meter.ts";
import { parseTemplate, type TemplateProgram } from "./template-program.ts";

/** A message of a conversation. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

const ROLES: readonly string[] = ["system", "user", "assistant"] satisfies ChatMessage["role"][];

/** How a conversation is laid out. */
export interface RenderOptions {
  /** Whether to end with the start of an answer; by default it does. */
  readonly addGenerationPrompt?: boolean;
}

/** What a template needs to know of its model's tokens. */
export interface TemplateTokens {
  readonly controlTokens: readonly SpecialToken[];
  /** Spelling of the token that starts a prompt, or "". */
  readonly bosToken: string;
  /** Spelling of the token that ends an answer, or "". */
  readonly eosToken: string;
}

/** A chat template, ready to lay out conversations. */
export interface ChatTemplate {
  /**
   * Lays out a conversation: ids of control tokens, and the texts between them. Every id was spelled out by the
   * template; what the messages say is text, whatever it looks like.
   * @throws InvalidOptionError for messages that aren't well formed; ChatTemplateError where the template fails,
   *   works or writes too much, or refuses the messages.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): readonly (string | number)[];
}

/**
 * Prepares a chat template (Jinja, as models bring it).
 * @throws ChatTemplateError where there is none, or it has a syntax error.
 */
export function createChatTemplate(
  source: string | undefined,
  tokens: TemplateTokens,
): ChatTemplate {
  if (source === undefined) {
    throw new ChatTemplateError("the model has no chat template; use a raw prompt");
  }
  const program = parseTemplate(source);
  const texts = program.literals.map(({ value }) => value);
  const controlTexts = tokens.controlTokens.map(({ text }) => text);
  const marks = createMarks(controlTexts, [...texts, tokens.bosToken, tokens.eosToken]);
  markLiterals(program, marks);
  const marked = longestFirst(
    tokens.controlTokens
      .map(({ id, text }) => ({ id, text: marks.hide(text), plain: text }))
      .filter(({ text, plain }) => text !== plain),
  );
  return {
    render(messages, options = {}) {
      validate(messages);
      const aside = marks.setAside(messages.map(({ content }) => content));
      if (aside === undefined) {
        const rule = "texts that leave one private-use character unused";
        throw new InvalidOptionError("messages", "texts with all of them", rule);
      }
      const meter = new Meter(messages.length, totalLength(aside.messages));
      const globals = createGlobals(tokens, marks, aside, meter);
      globals.set("add_generation_prompt", options.addGenerationPrompt ?? true);
      globals.set(
        "messages",
        messages.map(({ role }, i) => ({ role, content: aside.messages[i] })),
      );
      const rendered = run(program, globals, meter, aside);
      return splitOnTokens(rendered, marked).map((part) =>
        typeof part === "string" ? aside.reveal(part) : part,
      );
    },
  };
}

function totalLength(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0);
}

/** Marks everything that the template itself writes. */
function markLiterals(program: TemplateProgram, marks: Marks): void {
  for (const literal of program.literals) {
    literal.value = marks.hide(literal.value);
  }
}

function validate(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new InvalidOptionError("messages", messages, "a list of at least one message");
  }
  for (const [i, message] of messages.entries()) {
    const { role, content } = message ?? {};
    if (!ROLES.includes(role)) {
      throw new InvalidOptionError(`messages[${i}].role`, role, ROLES.join(" or "));
    }
    if (typeof content !== "string") {
      throw new InvalidOptionError(`messages[${i}].content`, content, "a string");
    }
  }
}

/** What templates may call and name, besides the conversation. */
function createGlobals(
  tokens: TemplateTokens,
  marks: Marks,
  aside: Aside,
  meter: Meter,
): Environment {
  const globals = new Environment();
  const entries: Readonly<Record<string, unknown>> = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    bos_token: marks.hide(tokens.bosToken),
    eos_token: marks.hide(tokens.eosToken),
    range: (...args: unknown[]) => range(args, meter),
    raise_exception: (message: unknown) => {
      throw templateError(`refuses these messages: ${aside.reveal(String(message))}`);
    },
    strftime_now: (format: unknown) => {
      meter.spend(20);
      return strftime(new Date(), aside.reveal(String(format)));
    },
  };
  for (const [name, value] of Object.entries(entries)) globals.set(name, value);
  return globals;
}

/** Python's `range`, paid for before the list is made. */
function range(args: readonly unknown[], meter: Meter): number[] {
  const numbers = args.filter((arg): arg is number => Number.isInteger(arg));
  const [start, stop, step] = numbers.length === 1 ? [0, ...numbers, 1] : [...numbers, 1];
  if (numbers.length !== args.length || start === undefined || stop === undefined || !step) {
    throw new Error("range() takes one to three whole numbers, and no step of 0");
  }
  const count = Math.max(0, Math.ceil((stop - start) / step));
  meter.spend(count);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

function run(program: TemplateProgram, globals: Environment, meter: Meter, aside: Aside): string {
  const interpreter = new MeteredInterpreter(program, globals, meter, aside.reveal);
  try {
    return String(interpreter.run(program.root).value);
  } catch (error) {
    if (error instanceof ChatTemplateError) throw error;
    if (error instanceof RangeError) {
      throw templateError("works or nests too much", { cause: error });
    }
    const message = error instanceof Error ? error.message : String(error);
    throw templateError(`failed: ${aside.reveal(message)}`, { cause: error });
  }
}
