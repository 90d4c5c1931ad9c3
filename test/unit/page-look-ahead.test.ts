import { expect, test } from "vitest";
import { aheadText } from "../../demo/look-ahead.ts";

const MIB = 2 ** 20;
const ahead = { totalBytes: 90 * MIB, storedBytes: 0, room: 500 * MIB, isKept: true };

test.each([
  [
    ahead,
    "90.0 MiB to get. Its weights take about 90.0 MiB of GPU memory. The browser leaves 500.0 MiB to keep it in.",
  ],
  [
    { ...ahead, storedBytes: 80 * MIB, room: 5 * MIB },
    "10.0 MiB to get. Its weights take about 90.0 MiB of GPU memory. The browser leaves only 5.0 MiB: it will be read, but not kept.",
  ],
  [
    { ...ahead, storedBytes: 90 * MIB },
    "on this device (90.0 MiB). Its weights take about 90.0 MiB of GPU memory.",
  ],
  [
    { ...ahead, room: undefined, isKept: false },
    "90.0 MiB to get. It isn’t kept on this device. Its weights take about 90.0 MiB of GPU memory.",
  ],
  [
    { ...ahead, totalBytes: undefined },
    "Its size isn’t known before it is read; it isn’t kept here.",
  ],
])("what loading will cost: %j", (given, said) => {
  expect(aheadText(given).replaceAll("\u00a0", " ")).toBe(said);
});
