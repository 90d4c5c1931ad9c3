import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { interruptible } from "../../src/cli/interruptible.ts";

/** Listeners for Ctrl-C; without one it ends the process. */
const listeners = (): NodeJS.SignalsListener[] =>
  process.listeners("SIGINT") as NodeJS.SignalsListener[];

describe("interruptible work", () => {
  test("is aborted by Ctrl-C, once where that comes from the terminal and from the first process", async () => {
    const before = listeners();
    const work = interruptible(async (signal) => {
      listeners().at(-1)?.("SIGINT");
      signal.throwIfAborted();
    });
    await expect(work).rejects.toMatchObject({ name: "AbortError", message: "interrupted" });
    // Also while the process ends: a second signal would end it otherwise before it has said why.
    expect(listeners()).toHaveLength(before.length + 1);
    listeners().at(-1)?.("SIGINT");
    await expect.poll(listeners, { timeout: 10_000 }).toEqual(before);
  });

  test("is ended by a second Ctrl-C", async () => {
    const before = listeners();
    await interruptible(async () => {
      listeners().at(-1)?.("SIGINT");
      await sleep(600);
      expect(listeners()).toEqual(before);
    });
  });

  test("leaves no listener where nothing interrupts it", async () => {
    const before = listeners();
    expect(await interruptible(async () => 7)).toBe(7);
    expect(listeners()).toEqual(before);
  });
});
