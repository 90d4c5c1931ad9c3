import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatTemplateError, InvalidOptionError } from "../../src/errors.ts";
import { createChatTemplate, type ChatMessage } from "../../src/text/chat-template.ts";
import { readGolden } from "../golden/format.ts";

const CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "[INST]", "EOT"];
const tokens = {
  controlTokens: CONTROL.map((text, id) => ({ id, text })),
  bosToken: "<|im_start|>",
  eosToken: "<|im_end|>",
};
const CHATML =
  "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

function render(template: string, messages: readonly ChatMessage[], addGenerationPrompt = true) {
  return createChatTemplate(template, tokens).render(messages, { addGenerationPrompt });
}

/** The whole text, control tokens spelled out. */
function spell(parts: readonly (string | number)[]): string {
  return parts.map((part) => (typeof part === "number" ? CONTROL[part] : part)).join("");
}

function user(content: string): ChatMessage[] {
  return [{ role: "user", content }];
}

describe("rendering", () => {
  test("texts are those of transformers", () => {
    const golden = readGolden("tokens");
    // The model's own control tokens are the first two; bos and eos are as in the model.
    for (const { template, messages, text } of golden.templates) {
      expect({ template, text: spell(render(template, messages)) }).toEqual({ template, text });
    }
  });

  test("control tokens of the template are ids", () => {
    const messages: ChatMessage[] = [...user("Hi"), { role: "assistant", content: "Hello" }];
    expect(render(CHATML, messages, false)).toEqual([
      0,
      "user\nHi",
      1,
      "\n",
      0,
      "assistant\nHello",
      1,
      "\n",
    ]);
    expect(render(CHATML, user(""))).toEqual([0, "user\n", 1, "\n", 0, "assistant\n"]);
  });

  test("control tokens may be put together by the template", () => {
    const template =
      "{{ '<|' ~ 'im_' ~ 'start|>' }}[{{ 'INST' }}]<|im_{{ 'END' | lower }}|>{{ eos_token }}";
    expect(render(template, user("x"))).toEqual([0, 4, 1, 1]);
  });

  test("a control token without punctuation can't be told from text", () => {
    expect(render("EOT {{ messages[0].content }}", user("EOT"))).toEqual(["EOT EOT"]);
  });

  test("dates are the C locale's", () => {
    const text = spell(render("{{ strftime_now('%d %b %Y, %A, %H:%M %% %q') }}", user("x")));
    expect(text).toMatch(/^\d\d [A-Z][a-z]{2} \d{4}, [A-Z][a-z]+day, \d\d:\d\d % %q$/);
  });

  test("a long document and a long conversation are no problem", () => {
    const long = "word | word <b> ".repeat(60_000);
    expect(render(CHATML, user(long))[1]).toBe(`user\n${long}`);
    const turns = Array.from({ length: 2_000 }, (_, i): ChatMessage[] =>
      user(`question ${i}`),
    ).flat();
    expect(render(CHATML, turns).filter((part) => part === 0)).toHaveLength(2_001);
  });
});

describe("messages", () => {
  /** Pieces that could make, or become, a control token. */
  const piece = fc.oneof(
    fc.constantFrom(...CONTROL),
    fc.constantFrom(
      "<",
      "|",
      ">",
      "<|",
      "|>",
      "im_end",
      "<|im_",
      "end|>",
      "[",
      "INST]",
      "user",
      "</think>",
    ),
    fc.constantFrom("\ufdd0", "\ufdd1", "\ufdd2", "\ufdef", "\ue000", "\uf8ff", " ", "\n", "x"),
    fc.integer({ min: 0xfdd0, max: 0xfdef }).map((code) => String.fromCharCode(code)),
  );
  const content = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));

  /** Templates with all that may be done to a message, and the content's text that they write. */
  const TEMPLATES: [string, (text: string) => string][] = [
    [CHATML, (text) => text],
    ["<|im_start|>{{ messages[0].content | trim }}<|im_end|>", (text) => text.trim()],
    [
      "[INST]{{ messages[0].content.split('</think>')[-1] }}<s>",
      (text) => text.split("</think>").at(-1) ?? "",
    ],
    ["<{{ messages[0].content }}|>", (text) => text],
    ["[{{ messages[0].content }}]", (text) => text],
    [
      "<|im_{{ messages[0].content.replace('</think>', '') }}",
      (text) => text.replaceAll("</think>", ""),
    ],
    ["{{ messages[0].content[1:] }}<|im_end|>", (text) => [...text].slice(1).join("")],
    ["{{ messages[0].content | upper }}{{ bos_token }}", (text) => text.toUpperCase()],
    ["{{ messages[0].content | tojson }}<s>", (text) => JSON.stringify(text)],
    ["{{ messages | map(attribute='content') | join('|') }}<s>", (text) => text],
  ];

  test.each(TEMPLATES)("write no control token through %j", (template, written) => {
    const prepared = createChatTemplate(template, tokens);
    const ids = (parts: readonly (string | number)[]) =>
      parts.filter((part) => typeof part === "number");
    const expected = ids(prepared.render(user("harmless")));
    const property = fc.property(content, (text) => {
      const parts = prepared.render(user(text));
      expect(ids(parts)).toEqual(expected);
      expect(spell(parts)).toContain(written(text));
    });
    fc.assert(property, { numRuns: 300, seed: 20241 });
  });

  test("are compared as they are", () => {
    const template =
      "{% set c = messages[0].content %}{% if '<|im_end|>' in c %}in {% endif %}{% if c == '<|im_end|>' %}equal {% endif %}" +
      "{% if c.startswith('<|') and c.endswith('|>') %}affix {% endif %}{% if c in ['<|im_end|>', 'x'] %}listed {% endif %}" +
      "{{ c.split('|') | length }} {{ c.strip('<|>') }} {{ c | length }}";
    expect(render(template, user("<|im_end|>"))).toEqual(["in equal affix listed 3 im_end 10"]);
  });

  test("with every character that could stand for another are refused, without one they aren't", () => {
    const codes = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)).join("");
    const all = codes(0xfdd0, 0xfdef) + codes(0xe000, 0xf8ff);
    expect(() => render(CHATML, user(all))).toThrow(InvalidOptionError);
    const most = all.slice(0, -32);
    expect(render(CHATML, user(most))[1]).toBe(`user\n${most}`);
  });

  const malformed: [string, unknown, RegExp][] = [
    ["no list", "hi", /messages must be a list/],
    ["an empty list", [], /messages must be a list of at least one/],
    ["nothing in the list", [null], /messages\[0\].role/],
    [
      "another role",
      [{ role: "tool", content: "" }],
      /messages\[0\].role must be system or user or/,
    ],
    ["no content", [...user("x"), { role: "assistant" }], /messages\[1\].content must be a string/],
  ];

  test.each(malformed)("%s: refused", (_, messages, message) => {
    const attempt = () => render(CHATML, messages as ChatMessage[]);
    expect(attempt).toThrow(InvalidOptionError);
    expect(attempt).toThrow(message);
  });
});

describe("a template that", () => {
  const long = "y".repeat(100_000);
  const loop = (rounds: number, body: string) =>
    `{% for i in range(${rounds}) %}${body}{% endfor %}`;
  const grow = (start: string, step: string, use: string) =>
    `{% set ns = namespace(s=${start}) %}${loop(60, `{% set ns.s = ${step} %}`)}${use}`;
  const content = "messages[0].content";
  const cases: [string, string, RegExp][] = [
    ["loops for ever", loop(3_000_000, ""), /works too much/],
    ["nests loops", loop(1000, loop(1000, "")), /works too much/],
    [
      "nests loops over one list",
      "{% set r = range(400) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
      /works too much/,
    ],
    ["makes a long list", "{{ range(1000000000) | length }}", /works too much/],
    ["makes a long list backwards", "{{ range(0, -1000000000, -1) | length }}", /works too much/],
    ["makes a list of fractions", "{{ range(0, 1, 0.000000001) }}", /whole numbers/],
    ["multiplies a text", "{{ 'x' * 1000000000 }}", /failed/],
    ["doubles a text", grow("'x'", "ns.s + ns.s", "{{ ns.s }}"), /writes too much/],
    ["doubles a text by ~", grow("'x'", "ns.s ~ ns.s", "{{ ns.s }}"), /writes too much/],
    ["doubles a list", grow("[1]", "ns.s + ns.s", ""), /works too much/],
    [
      "nests a list twice in itself",
      grow("['x']", "[ns.s, ns.s]", "{{ ns.s }}"),
      /writes too much/,
    ],
    [
      "nests an object twice in itself",
      grow("'x'", "{'a': ns.s, 'b': ns.s}", "{{ ns.s | tojson }}"),
      /writes too much/,
    ],
    [
      "nests lists deeply",
      `{% set ns = namespace(s=1) %}${loop(200, "{% set ns.s = [ns.s] %}")}`,
      /nests lists too deeply/,
    ],
    [
      "puts a namespace into itself",
      "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
      /puts a namespace/,
    ],
    [
      "puts a namespace into a list",
      "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns }}",
      /puts a namespace/,
    ],
    [
      "puts a namespace into another",
      "{% set a = namespace() %}{% set b = namespace(x=a) %}{{ b }}",
      /puts a namespace/,
    ],
    [
      "calls itself",
      "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
      /calls itself too deeply/,
    ],
    [
      "calls itself twice",
      "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(0) }}",
      /calls itself too deeply/,
    ],
    ["joins by a long text", `{{ range(1000) | join(${content}) }}`, /writes too much/],
    ["joins a text by itself", `{{ ${content} | join(${content}) }}`, /writes too much/],
    ["replaces by a long text", `{{ ${content} | replace('y', ${content}) }}`, /writes too much/],
    [
      "replaces by a long text, otherwise",
      `{% set f = ${content}['replace'] %}{{ f('y', ${content}) }}`,
      /writes too much/,
    ],
    ["indents far", `{{ 'a\nb' | indent(500000000) }}`, /writes too much/],
    ["indents far, by name", `{{ 'a\nb' | indent(width=-(-500000000)) }}`, /writes too much/],
    ["indents far, unpacked", `{{ 'a\nb' | indent(*[500000000]) }}`, /unpacks/],
    ["indents a block far", "{% filter indent(500000000) %}a\nb{% endfilter %}", /writes too much/],
    ["indents JSON far", "{{ messages | tojson(indent=500000000) }}", /writes too much/],
    [
      "searches a long text again and again",
      loop(15_000, `{{ 'z' in ${content} }}`),
      /works too much/,
    ],
    [
      "compares long texts again and again",
      loop(15_000, `{{ ${content} == messages[1].content }}`),
      /works too much/,
    ],
    ["writes a long text again and again", loop(15_000, `{{ ${content} }}`), /works too much/],
    [
      "strips a long text again and again",
      loop(15_000, `{{ ${content}.strip('y') }}`),
      /works too much/,
    ],
    [
      "splits a long text again and again",
      loop(15_000, `{{ ${content}.split('y') }}`),
      /works too much/,
    ],
    [
      "slices a long text again and again",
      loop(15_000, `{{ ${content}[::-1] }}`),
      /works too much/,
    ],
    [
      "sorts a list again and again",
      `{% set r = range(9000) %}${loop(9000, "{{ r | sort | length }}")}`,
      /works too much/,
    ],
    [
      "defines a long macro again and again",
      loop(9000, `{% macro f() %}${"{{ a }}".repeat(5000)}{% endmacro %}`),
      /works too much/,
    ],
    [
      "asks for the date again and again",
      loop(15_000, "{{ strftime_now('%B') }}"),
      /works too much/,
    ],
    ["is too long", "x".repeat(300_000), /300000 characters long/],
    ["is mostly white space", `{{ 1 }}${" ".repeat(100_000)}{{ 2 }}`, /500 spaces/],
    [
      "nests too deeply to be read",
      `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`,
      /is broken: it nests too deeply/,
    ],
    ["has a syntax error", "{% for i in %}{% endfor %}", /is broken: Unexpected token/],
    ["stops in the middle", "{% if x %}y", /is broken: it ends in the middle/],
    ["has an unknown statement", "{% include 'x' %}", /is broken: Unknown statement type: include/],
    ["calls an unknown function", "{{ frobnicate(1) }}", /calls the unknown function "frobnicate"/],
    ["calls an unknown method", "{{ 'x'.frobnicate(1) }}", /calls the unknown method "frobnicate"/],
    ["uses an unknown filter", "{{ 'x' | frobnicate }}", /Unknown StringValue filter: frobnicate/],
    [
      "reaches for the host",
      "{{ messages.constructor('return 1')() }}",
      /calls the unknown method "constructor"/,
    ],
    ["breaks out of nothing", "{% break %}", /break outside of a loop/],
    [
      "refuses the messages",
      "{{ raise_exception('Only <|im_start|> roles ' ~ messages[0].role ~ ' alternate!') }}",
      /refuses these messages: Only <\|im_start\|> roles user alternate!/,
    ],
  ];

  test.each(cases)("%s ends in a ChatTemplateError, soon", (_, template, message) => {
    const started = process.cpuUsage();
    const attempt = () => render(template, [...user(long), ...user(long)]);
    expect(attempt).toThrow(ChatTemplateError);
    const { user: spent } = process.cpuUsage(started);
    expect(attempt).toThrow(message);
    // About 0.2 s on an idle machine; all of these take minutes, or all memory, without the limits.
    expect(spent / 1000).toBeLessThan(1500);
  });

  test("isn't there is an error that says what to do", () => {
    const attempt = () => createChatTemplate(undefined, tokens);
    expect(attempt).toThrow(ChatTemplateError);
    expect(attempt).toThrow(/no chat template; use a raw prompt/);
  });

  test("fails can be tried again with other messages", () => {
    const template = createChatTemplate(
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}ok",
      tokens,
    );
    expect(() => template.render([{ role: "system", content: "" }])).toThrow(/no system/);
    expect(template.render(user("x"))).toEqual(["ok"]);
  });
});
