import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import { readmeSnippets, typescriptSnippets } from "../readme.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** What the snippets may import, and where it lies in a checkout. */
const ENTRIES = {
  "ziggurat-llm": ["src/index.ts"],
  "ziggurat-llm/*": ["src/*.ts"],
};

test("the README's modules compile as they stand, under strict settings", () => {
  const snippets = typescriptSnippets();
  expect(snippets.length).toBeGreaterThan(3);
  const { config } = ts.readConfigFile(join(TOP, "tsconfig.json"), (path) =>
    readFileSync(path, "utf8"),
  ) as { config: { compilerOptions: object } };
  const settings = { ...config.compilerOptions, incremental: false, paths: ENTRIES, baseUrl: TOP };
  const { options } = ts.convertCompilerOptionsFromJson(
    // A snippet ends where the app's own code goes on: it may make what it doesn't use.
    { ...settings, tsBuildInfoFile: undefined, isolatedDeclarations: false, noUnusedLocals: false },
    TOP,
  );
  const host = ts.createCompilerHost(options);
  const virtual = new Map(
    // `export {}` keeps one that imports nothing a module of its own.
    snippets.map(({ code }, i) => [join(TOP, `readme-${i}.ts`), `${code}\nexport {};\n`]),
  );
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.readFile = (path) => virtual.get(path) ?? readFile(path);
  host.getSourceFile = (path, target) => {
    const text = virtual.get(path);
    return text === undefined
      ? getSourceFile(path, target)
      : ts.createSourceFile(path, text, target);
  };
  const program = ts.createProgram([...virtual.keys()], options, host);
  const found = [...virtual.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
  });
  expect(found).toEqual([]);
}, 120_000);

test("every npm script that the README names is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const readme = readFileSync(join(TOP, "README.md"), "utf8");
  const named = [...readme.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(0);
  for (const name of named) expect(Object.keys(scripts)).toContain(name);
  expect(readmeSnippets()[0]?.code).toContain("npm ci && npm test");
});
