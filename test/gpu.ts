import { afterAll, afterEach } from "vitest";
import { type AdapterName, nameAdapter } from "../src/cli/adapter-name.ts";
import { openDawn } from "../src/cli/dawn.ts";
import { type GpuContext, openGpu } from "../src/gpu/device.ts";

export { expectClose } from "./expect-close.ts";
export { seededRandom } from "./random.ts";

/** WebGPU itself, for tests that open or lose a device on their own. */
export const gpu: GPU = await openDawn();
const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
if (adapter === null) throw new Error("the adapter that Dawn had a moment ago is gone");

/** The adapter under test. `npm test` runs the kernel tests once on each that it finds. */
export const adapterName: AdapterName = nameAdapter(adapter.info);

const selected = process.env["ZIGGURAT_ADAPTER"];
if (selected !== undefined && selected !== adapterName) {
  throw new Error(`the environment should select ${selected}, but Dawn opened ${adapterName}`);
}

/** The optional features that this adapter has: they decide which variants a kernel test can run. */
export const adapterFeatures: ReadonlySet<string> = adapter.features;

/** What a test asks of its device. */
export interface TestDeviceOptions {
  /** Exactly these optional features, so that a test picks the variant; by default none. */
  readonly features?: readonly GPUFeatureName[];
  /** `default` (the default) keeps every limit at WebGPU's guaranteed value. */
  readonly limits?: "default" | "raised";
}

const contexts: GpuContext[] = [];

/**
 * Opens a device on the adapter under test. It is destroyed after the file's tests; an uncaptured GPU error or a lost
 * device fails the test in which it came.
 */
export async function openTestDevice(options: TestDeviceOptions = {}): Promise<GpuContext> {
  const { features = [], limits = "default" } = options;
  const missing = features.filter((feature) => !adapterFeatures.has(feature));
  if (missing.length > 0) throw new Error(`${adapterName} lacks ${missing.join(", ")}`);
  const context = await openGpu({ gpu, features, limits });
  contexts.push(context);
  return context;
}

afterEach(async () => {
  // An error is reported when the queue has reached it, so wait for that.
  for (const context of contexts) await context.idle();
});

afterAll(() => {
  for (const context of contexts.splice(0)) context.destroy();
});
