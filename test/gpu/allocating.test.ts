import { describe, expect, test } from "vitest";
import { GpuOutOfMemoryError, ShaderError } from "../../src/errors.ts";
import { adapterName, openTestDevice } from "../gpu.ts";

const spec = (label: string, bytes: number) => ({
  ...{ label, bytes, purpose: "activations" as const },
  usage: GPUBufferUsage.COPY_DST,
});

describe("allocating", () => {
  test("gives what was made, and counts it", async () => {
    const { buffers, allocating } = await openTestDevice();
    const buffer = await allocating("one", 64, () => buffers.create(spec("one", 64)));
    expect(buffer.size).toBe(64);
    expect(buffers.now.total).toBe(64);
  });

  test("an exception on the way frees what was made before it, and nothing older", async () => {
    const { buffers, allocating } = await openTestDevice();
    buffers.create(spec("older", 32));
    const attempt = allocating("two", 128, () => {
      buffers.create(spec("first", 64));
      throw new Error("the second one failed");
    });
    await expect(attempt).rejects.toThrow("the second one failed");
    expect(buffers.entries().map(({ label }) => label)).toEqual(["older"]);
  });

  test("more than a buffer may hold is refused with figures", async () => {
    const { buffers, allocating, limits } = await openTestDevice();
    buffers.create(spec("older", 32));
    const bytes = limits.maxBufferSize + 4;
    const attempt = allocating("whole", 2 * bytes, () => {
      buffers.create(spec("first", 64));
      buffers.create(spec("huge", bytes));
    });
    await expect(attempt).rejects.toMatchObject({
      name: "GpuOutOfMemoryError",
      label: "huge",
      bytes,
      allocatedBytes: 96,
    });
    expect(buffers.now.total).toBe(32);
  });

  test("a storage buffer may not be larger than a binding", async () => {
    const { buffers, limits } = await openTestDevice();
    const usage = GPUBufferUsage.STORAGE;
    const bytes = limits.maxStorageBufferBindingSize + 4;
    expect(bytes).toBeLessThan(limits.maxBufferSize);
    expect(() => buffers.create({ ...spec("rows", bytes), usage })).toThrow(GpuOutOfMemoryError);
    expect(buffers.now.total).toBe(0);
  });

  test(`all that ${adapterName} has is either served or refused, and the ledger is right`, async () => {
    // SwiftShader refuses a GiB; lavapipe reserves any address space; a GPU has some limit.
    const { buffers, allocating, limits } = await openTestDevice({ limits: "raised" });
    const bytes = Math.floor(limits.maxBufferSize / 4) * 4;
    const attempt = allocating("everything", bytes, () => buffers.create(spec("all", bytes)));
    const error: unknown = await attempt.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const served = error === undefined;
    expect(served || error instanceof GpuOutOfMemoryError).toBe(true);
    expect(served && adapterName === "swiftshader").toBe(false);
    expect(buffers.now.total).toBe(served ? bytes : 0);
    buffers.destroyAll();
  });

  test("calls that overlap: each gets its own errors, and keeps its own buffers", async () => {
    const { device, buffers, allocating } = await openTestDevice();
    const make = (label: string, valid: boolean): Promise<GPUBuffer> =>
      allocating(label, 64, () => {
        const buffer = buffers.create(spec(label, 64));
        if (!valid) device.queue.writeBuffer(buffer, 60, new Uint32Array(4));
        return buffer;
      });
    const valid = [true, false, true, true, false, true];
    const outcomes = await Promise.allSettled(valid.map((each, i) => make(`${i}`, each)));
    expect(outcomes.map(({ status }) => status === "fulfilled")).toEqual(valid);
    expect(buffers.entries().map(({ label }) => label)).toEqual(["0", "2", "3", "5"]);
  });

  test("an invalid command is an error of ours", async () => {
    const { device, buffers, allocating } = await openTestDevice();
    const attempt = allocating("one", 64, () => {
      const buffer = buffers.create(spec("one", 64));
      device.queue.writeBuffer(buffer, 60, new Uint32Array(4));
    });
    await expect(attempt).rejects.toBeInstanceOf(ShaderError);
    expect(buffers.now.total).toBe(0);
  });
});
