import type { RunTrace } from "../src/profile.ts";
import { randomId } from "./random-id.ts";

/**
 * A chat page's run, shown by memory pages in other tabs of this browser while the chat page is open.
 * Messages between tabs of one origin: nothing is stored, nothing leaves the browser.
 */
const CHANNEL = "ziggurat-run";

/** The part of the memory page's address that names the chat page whose run it shows. */
const ADDRESS_KEY = "run";

/** Every message names the chat page that it is for, or from. */
type RunMessage = { readonly page: string } & (
  | { readonly type: "ask" }
  | { readonly type: "run"; readonly run: RunTrace; readonly isBusy: boolean }
  | { readonly type: "changed" }
  | { readonly type: "none" }
  | { readonly type: "gone" }
);

/** While an answer is being made its run is asked for this often, in ms. */
const REFRESH_MS = 500;

/** A run that this page can show, as it is now; undefined where there is none. */
export type CurrentRun = () => Promise<{ run: RunTrace; isBusy: boolean } | undefined>;

/** Answer memory pages that ask for the run. */
export function offerRun(current: CurrentRun): {
  /** What the memory page's address has to end with. */
  readonly address: string;
  /** There is something new to show. */
  changed(): void;
} {
  const page = randomId();
  const channel = new BroadcastChannel(CHANNEL);
  const post = (message: RunMessage): void => channel.postMessage(message); // oxlint-disable-line unicorn/require-post-message-target-origin
  channel.addEventListener("message", ({ data }: MessageEvent<RunMessage>) => {
    if (data.page !== page || data.type !== "ask") return;
    const none = (): void => post({ page, type: "none" });
    // An engine that ends meanwhile has no run to show either.
    current().then(
      (now) => (now === undefined ? none() : post({ page, type: "run", ...now })),
      none,
    );
  });
  addEventListener("pagehide", () => post({ page, type: "gone" }));
  return {
    address: `#${ADDRESS_KEY}=${page}`,
    changed: () => post({ page, type: "changed" }),
  };
}

/** What a memory page does with the run that it follows. */
export interface RunFollower {
  onRun(run: RunTrace, isBusy: boolean): void;
  /** The chat page has no model loaded: what is shown is the last of it. */
  onNone(): void;
  /** The chat page was closed or loaded again, which is a new one: nothing more comes from it. */
  onGone(): void;
}

/**
 * Show the run of the chat page that the address names, and go on showing it; nothing where it names none.
 * @returns ends it
 */
export function followRun(hash: string, { onRun, onNone, onGone }: RunFollower): () => void {
  const page = new URLSearchParams(hash.slice(1)).get(ADDRESS_KEY);
  if (page === null) return () => {};
  const channel = new BroadcastChannel(CHANNEL);
  let askedAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ask = (): void => {
    clearTimeout(timer);
    askedAt = performance.now();
    // A page that is gone doesn't say so.
    timer = setTimeout(onGone, 20 * REFRESH_MS);
    channel.postMessage({ page, type: "ask" } satisfies RunMessage); // oxlint-disable-line unicorn/require-post-message-target-origin
  };
  channel.addEventListener("message", ({ data }: MessageEvent<RunMessage>) => {
    if (data.page !== page) return;
    if (data.type === "changed") return ask();
    if (data.type === "ask") return;
    clearTimeout(timer);
    if (data.type === "gone") return onGone();
    if (data.type === "none") return onNone();
    onRun(data.run, data.isBusy);
    // A long run takes longer to fetch and show: never spend more than a tenth of the time on it.
    const pause = Math.max(REFRESH_MS, 10 * (performance.now() - askedAt));
    if (data.isBusy) timer = setTimeout(ask, pause);
  });
  ask();
  return () => {
    clearTimeout(timer);
    channel.close();
  };
}
