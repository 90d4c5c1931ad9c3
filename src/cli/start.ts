import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { SourceError } from "../errors.ts";
import { fetchModel } from "./fetch-model.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** `npm start`: gets the default model, then serves the chat page until the process is ended. */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.length > 0) {
    process.stderr.write("usage: npm start\n");
    return 2;
  }
  try {
    await fetchModel({ named: process.env["ZIGGURAT_MODEL"] });
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
  const server = await createServer({ configFile: `${TOP}vite.config.ts` });
  await server.listen();
  console.log("\n  Ziggurat's chat page (a browser with WebGPU: current Chrome, Edge or Safari):");
  server.printUrls();
  return new Promise(() => {}); // the server ends the process when it is told to stop
}
