import { DeviceLostError, LlmError, ShaderError } from "../errors.ts";
import type { EngineParts } from "./parts.ts";

/** How often a call goes on on another device. */
export const MAX_RECOVERIES = 2;

/** What gives a call another device when its own is lost. */
export class Recovery {
  readonly #parts: () => EngineParts;
  readonly #reopen: () => Promise<void>;

  /** `reopen` puts parts on another device in the place of those that `parts` gives. */
  constructor(parts: () => EngineParts, reopen: () => Promise<void>) {
    this.#parts = parts;
    this.#reopen = reopen;
  }

  /**
   * The engine's parts, on a device that is there as far as anybody knows.
   * @throws DeviceLostError where no other one can be had, with the cause; what else failed before.
   */
  async parts(): Promise<EngineParts> {
    try {
      this.#parts().runtime.gpu.throwIfFailed();
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      await this.#replace(error);
    }
    return this.#parts();
  }

  /** The loss of the device that made a call fail with `error`, if that was it. */
  async lossBehind(error: unknown): Promise<DeviceLostError | undefined> {
    if (error instanceof DeviceLostError) return error;
    // On a lost device other things fail too, perhaps before it is known to be lost.
    const isNamed = error instanceof DOMException && error.name === "AbortError";
    if (isNamed || (error instanceof LlmError && !(error instanceof ShaderError))) return undefined;
    try {
      return await this.#parts().runtime.gpu.settled(rejected(error));
    } catch (cause) {
      return cause instanceof DeviceLostError ? cause : undefined;
    }
  }

  /** Run what can be begun again from nothing, on another device if its own is lost. */
  async run<T>(call: (parts: EngineParts) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await call(await this.parts());
      } catch (error) {
        const lost = await this.lossBehind(error);
        if (lost === undefined) throw error;
        if (tries === MAX_RECOVERIES) throw lost;
      }
    }
  }

  async #replace(lost: DeviceLostError): Promise<void> {
    try {
      await this.#reopen();
    } catch (cause) {
      if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
      if (cause instanceof DeviceLostError) throw cause;
      throw new DeviceLostError(lost.reason, "no other one could be had", { cause });
    }
  }
}

async function rejected(error: unknown): Promise<never> {
  throw error;
}
