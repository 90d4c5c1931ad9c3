import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nameAdapter } from "../../src/cli/adapter-name.ts";
import { findAdapters, probeAdapter } from "../../src/cli/adapters.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "adapters-"));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test("each adapter that is found is the one its environment selects, the fastest first", async () => {
  const { adapters } = await findAdapters();
  const names = adapters.map((adapter) => adapter.name);
  expect(names.length).toBeGreaterThan(0);
  const order = ["gpu", "lavapipe", "swiftshader"];
  expect(names).toEqual(order.filter((name) => names.some((found) => found === name)));
  const hasPackage = process.platform === "linux" && process.arch === "x64";
  expect(hasPackage).toBe(names.includes("swiftshader"));
  for (const { name, environment } of adapters) {
    const probed = await probeAdapter(environment);
    expect(typeof probed === "string" ? probed : nameAdapter(probed)).toBe(name);
  }
});

test("a driver that can't be opened is named with a reason, and the others are still found", async () => {
  const drivers = join(folder, "vulkan/icd.d");
  await mkdir(drivers, { recursive: true });
  const broken = join(drivers, "lvp_icd.broken.json");
  const library_path = join(folder, "no-such-library.so");
  const description = { file_format_version: "1.0.0", ICD: { library_path, api_version: "1.3.0" } };
  await writeFile(broken, JSON.stringify(description));
  vi.stubEnv("XDG_DATA_HOME", folder);
  const { adapters, refused } = await findAdapters();
  expect(refused).toContainEqual(expect.stringMatching(/^lavapipe \(.*lvp_icd\.broken\.json\): ./));
  expect(adapters.length).toBeGreaterThan(0);
});
