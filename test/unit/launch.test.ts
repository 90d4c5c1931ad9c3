import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ZIGGURAT = fileURLToPath(new URL("../../src/cli/ziggurat.mjs", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command where no Vulkan driver is to be found, so that it has to restart itself. */
function ziggurat(...argv: string[]): Promise<Ended> {
  const env = { ...process.env, VK_DRIVER_FILES: "/dev/null", VK_ICD_FILENAMES: "/dev/null" };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [ZIGGURAT, ...argv], { env }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

describe("the command's launcher", () => {
  test("shows the usage", async () => {
    const { code, stdout, stderr } = await ziggurat("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("ziggurat generate");
  });

  test("passes a usage error through the restart, in one line", async () => {
    const { code, stdout, stderr } = await ziggurat("no-such-command");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^.*no-such-command.*\n$/);
  });

  test("passes a failure through the restart, in one line", async () => {
    const { code, stdout, stderr } = await ziggurat(
      ...["generate", "--model", "no-such-file.gguf", "--prompt", "Hello"],
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^.*no-such-file\.gguf.*\n$/);
  });
});
