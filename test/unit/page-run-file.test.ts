import { expect, test } from "vitest";
import { MAX_RUN_BYTES, readRunFile, RunFileError } from "../../demo/memory/run-file.ts";
import { traceToJson } from "../../src/profile.ts";
import { sampleTrace } from "./sample-trace.ts";

const RUN = traceToJson(sampleTrace());

/** A file that says to have `size` bytes, and notes when it is read. */
function fileOf(text: string, size: number = text.length) {
  const file = {
    ...{ name: "run.json", size, reads: 0 },
    async text() {
      file.reads += 1;
      return text;
    },
  };
  return file;
}

test("an exported run is read, up to the limit", async () => {
  expect(await readRunFile(fileOf(RUN, MAX_RUN_BYTES))).toEqual({ run: sampleTrace() });
});

test("a file over the limit isn't read; the error names it, its size and the limit", async () => {
  const large = fileOf(RUN, MAX_RUN_BYTES + 2 ** 30);
  const error = await readRunFile(large).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RunFileError);
  expect(error).toMatchObject({
    fault: "too-large",
    message:
      "run.json has 1,224.0\u00a0MiB; up to 200.0\u00a0MiB can be opened. " +
      "Runs that are exported here are far smaller: choose another file.",
  });
  expect(large.reads).toBe(0);
});

test.each([
  ["{", "which is JSON"],
  [RUN.replace("trace/1", "trace/9"), 'schema must be "ziggurat-trace/1"'],
  ['{"plan":{},"documents":[],"format":2}', "format must be 1"],
])("a file that is something else says what is wrong: %.40s", async (text, message) => {
  await expect(readRunFile(fileOf(text))).rejects.toMatchObject({
    name: "RunFileError",
    fault: "not-a-run",
    message: expect.stringContaining(message) as string,
  });
});
