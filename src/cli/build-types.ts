import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/**
 * Write the declarations that entries need, and no others.
 * @param top the folder of tsconfig.json
 * @throws Error when the sources don't compile
 */
export function buildTypes(top: string, entries: readonly string[], folder: string): void {
  const config = ts.readConfigFile(join(top, "tsconfig.json"), (file) => ts.sys.readFile(file));
  const parsed = ts.parseJsonConfigFileContent(config.config, ts.sys, top);
  const { tsBuildInfoFile: _, ...options } = parsed.options;
  const program = ts.createProgram([...entries], {
    ...options,
    noEmit: false,
    incremental: false,
    emitDeclarationOnly: true,
    outDir: folder,
    rootDir: join(top, "src"),
  });
  const emitted = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (file, text) => {
    emitted.set(relative(folder, file), text);
  });
  const found = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (found.length > 0) {
    throw new Error(ts.formatDiagnostics(found, ts.createCompilerHost(options)));
  }
  const wanted = entries.map((entry) =>
    relative(join(top, "src"), entry).replace(/\.ts$/, ".d.ts"),
  );
  for (const file of new Set(wanted)) keep(file);

  /** Write a declaration and all that it imports. */
  function keep(file: string): void {
    const text = emitted.get(file);
    if (text === undefined) return; // written already
    emitted.delete(file);
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text.replace(/(from "|import\(")(\.[^"]*)\.ts"/g, '$1$2.js"'));
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      keep(join(dirname(file), fileName.replace(/\.ts$/, ".d.ts")));
    }
  }
}
