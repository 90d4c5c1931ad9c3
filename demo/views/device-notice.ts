import type { DeviceCheck, DeviceProblem, Shortfall } from "../device-check.ts";
import { el, icon } from "../dom.ts";
import { formatCount } from "../format.ts";
import { diagnosticsBox } from "./diagnostics-box.ts";

interface Advice {
  readonly title: string;
  readonly happened: string;
  readonly steps: readonly string[];
  /** Whether another browser may help: then the table of browsers is shown. */
  readonly browsers: boolean;
}

const ADVICE: Readonly<Record<DeviceProblem, Advice>> = {
  "insecure-context": {
    title: "This page needs a secure address",
    happened:
      "Browsers give WebGPU only to pages that came over https or from this very computer. " +
      "This page came over plain http.",
    steps: [
      "Open the same address with https:// in front.",
      "If the server runs on this computer, open it as http://localhost.",
    ],
    browsers: false,
  },
  "no-webgpu": {
    title: "This browser has no WebGPU",
    happened: "The model runs on the GPU through WebGPU, which this browser doesn’t offer.",
    steps: ["Update the browser, or open this page in one from the table."],
    browsers: true,
  },
  "no-adapter": {
    title: "WebGPU is there, but found no GPU to use",
    happened:
      "The browser knows WebGPU, but offered no adapter. It may have blocked the graphics driver, " +
      "or the session is remote, or hardware acceleration is switched off.",
    steps: [
      "Switch on hardware acceleration in the browser’s settings, and restart it.",
      "Update the graphics driver.",
      "On Linux with Chrome: open chrome://flags/#enable-unsafe-webgpu, enable it, and restart.",
      "In a remote desktop: open the page on the computer itself.",
    ],
    browsers: true,
  },
  limits: {
    title: "This GPU’s limits are too small",
    happened: "WebGPU works here, but its limits are under what the model’s kernels need.",
    steps: [
      "If the computer has a second GPU, let the browser use it (in the system’s graphics settings).",
      "Update the browser and the graphics driver.",
    ],
    browsers: false,
  },
};

const BROWSERS: readonly (readonly [string, string])[] = [
  ["Chrome, Edge", "113 on Windows, macOS and ChromeOS; 121 on Android; 144 on Linux (Intel)"],
  ["Firefox", "141 on Windows; 145 on macOS 26 and 147 on older macOS (Apple silicon)"],
  ["Safari", "26"],
];

/** Why nothing can run here, what to do about it, and diagnostics to copy. */
export function deviceNotice(problem: DeviceProblem, check: DeviceCheck): HTMLElement {
  const { title, happened, steps, browsers } = ADVICE[problem];
  return el(
    "section",
    { class: "notice notice-error", role: "alert" },
    el("h2", {}, icon("error"), title),
    el("p", {}, happened),
    ...(check.shortfalls.length > 0 ? [shortfallTable(check.shortfalls)] : []),
    el("h3", {}, "What to do"),
    el("ul", {}, ...steps.map((step) => el("li", {}, step))),
    ...(browsers ? [browserTable()] : []),
    el("p", {}, "Nothing was loaded or changed. Reload the page when it is done."),
    diagnosticsBox(() => check.diagnostics),
  );
}

/** A software adapter works: say kindly what to expect. */
export function softwareNotice(check: DeviceCheck): HTMLElement {
  return el(
    "section",
    { class: "notice notice-warning" },
    el("h2", {}, icon("warning"), "No GPU in use: this will be slow"),
    el(
      "p",
      {},
      `WebGPU runs here in software (${check.gpuName}). Everything works, on the processor: ` +
        "expect a few tokens per second, so keep questions short.",
    ),
    el("p", {}, "If this computer has a GPU, switch on hardware acceleration in the browser."),
  );
}

function browserTable(): HTMLElement {
  return el(
    "table",
    {},
    el("caption", {}, "Browsers with WebGPU"),
    el("thead", {}, el("tr", {}, header("Browser", "col"), header("From version", "col"))),
    el(
      "tbody",
      {},
      ...BROWSERS.map(([name, versions]) =>
        el("tr", {}, header(name, "row"), el("td", {}, versions)),
      ),
    ),
  );
}

function shortfallTable(shortfalls: readonly Shortfall[]): HTMLElement {
  return el(
    "table",
    { class: "numbers" },
    el("caption", {}, "Limits under what is needed"),
    el(
      "thead",
      {},
      el("tr", {}, header("Limit", "col"), header("Needed", "col"), header("Offered", "col")),
    ),
    el(
      "tbody",
      {},
      ...shortfalls.map(({ limit, needed, offered }) =>
        el(
          "tr",
          {},
          header(limit, "row"),
          el("td", {}, formatCount(needed)),
          el("td", {}, formatCount(offered)),
        ),
      ),
    ),
  );
}

function header(text: string, scope: "row" | "col"): HTMLElement {
  return el("th", { scope }, text);
}
