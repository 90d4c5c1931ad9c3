import { describe, expect, it } from "vitest";
import { codeTokens } from "../../demo/markdown/grammars.ts";

/** The coloured parts, each as `kind:text`. */
function coloured(language: string, code: string): string[] {
  return codeTokens(language, code).map(
    ({ kind, start, end }) => `${kind}:${code.slice(start, end)}`,
  );
}

describe("colours of code", () => {
  it.each([
    ["js", 'const a = "b"; // c', ["keyword:const", 'string:"b"', "comment:// c"]],
    ["TypeScript", "let n: number = 12;", ["keyword:let", "keyword:number", "number:12"]],
    [
      "python",
      "def f():\n  return 'x' # y",
      ["keyword:def", "keyword:return", "string:'x'", "comment:# y"],
    ],
    ["json", '{"a": [1, true, "b"]}', ["number:1", "keyword:true", 'string:"b"']],
    ["sh", 'echo "hi" # there', ["keyword:echo", 'string:"hi"', "comment:# there"]],
    [
      "html",
      '<p class="a">1<!-- b --></p>',
      ["keyword:p", 'string:"a"', "comment:<!-- b -->", "keyword:p"],
    ],
    ["css", "p { color: #fff; }", ["keyword:p", "keyword:color", "number:#fff"]],
    ["c", "int main() { return 0; }", ["keyword:int", "keyword:return", "number:0"]],
    ["rust", "fn f() -> u8 { 1 }", ["keyword:fn", "keyword:u8", "number:1"]],
  ])("%s: %s", (language, code, expected) => {
    expect(coloured(language, code)).toEqual(expected);
  });

  it("leaves code in strings plain", () => {
    expect(coloured("js", "`a ${b} c`")).toEqual(["string:`a ", "string: c`"]);
  });

  it("leaves languages alone that it doesn't know, and those without a name", () => {
    for (const language of ["", "brainfuck", "constructor", "js onload=x"]) {
      expect(codeTokens(language, "if (1) {}")).toEqual([]);
    }
  });

  it("stays within what is there and in order, however code is cut off", () => {
    const code = 'function f(a) {\n  /* one\n two */ return `x${a + "y"}` + 3;\n}\n';
    for (let length = 0; length <= code.length; length++) {
      let at = 0;
      for (const { start, end } of codeTokens("ts", code.slice(0, length))) {
        expect(start).toBeGreaterThanOrEqual(at);
        expect(end).toBeGreaterThan(start);
        at = end;
      }
      expect(at).toBeLessThanOrEqual(length);
    }
  });
});
