import { type Browser, chromium } from "playwright-core";
import { unpackBrowser } from "../browser-package.ts";

const WEBGPU_ON_SWIFTSHADER = [
  "--no-sandbox", // the tests may run as root
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--disable-gpu-sandbox",
];

/** No traffic of the browser's own. */
const QUIET = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Starts a headless Chrome or Chromium whose WebGPU runs on SwiftShader: the installed one, or else the one that came
 * with `npm ci`. Web security is as users have it. The caller closes it.
 */
export async function launchBrowser(): Promise<Browser> {
  const { executable, environment } = await unpackBrowser();
  return chromium.launch({
    executablePath: executable,
    env: { ...(process.env as Record<string, string>), ...environment },
    args: [...WEBGPU_ON_SWIFTSHADER, ...QUIET],
  });
}
