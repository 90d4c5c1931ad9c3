import { DeviceLostError, LlmError, ShaderError } from "../errors.ts";
import { pause } from "../pause.ts";
import type { EngineParts } from "./parts.ts";

/** How often a call tries to go on on another device. */
const MAX_TRIES = 2;

/** Before the second try: when the browser's GPU process has crashed, there is no adapter for a moment. */
const PAUSE_MS = 500;

/** What gives one call another device when its own is lost. */
export class Recovery {
  readonly #parts: () => EngineParts;
  readonly #reopen: () => Promise<void>;
  readonly #signal: AbortSignal;
  /** Devices that the call has lost, those that could not be had among them. */
  #losses = 0;

  /** `reopen` puts parts on another device in the place of those that `parts` gives; `signal` is the call's. */
  constructor(parts: () => EngineParts, reopen: () => Promise<void>, signal: AbortSignal) {
    this.#parts = parts;
    this.#reopen = reopen;
    this.#signal = signal;
  }

  /** The engine's parts, also where their device is lost. */
  get present(): EngineParts {
    return this.#parts();
  }

  /** The call has tried often enough. */
  get isSpent(): boolean {
    return this.#losses > MAX_TRIES;
  }

  /**
   * The engine's parts, on a device that is there as far as anybody knows.
   * @throws DeviceLostError where no other one can be had, with the cause; what else failed before; the signal's
   * reason when aborted.
   */
  async parts(): Promise<EngineParts> {
    try {
      this.#parts().runtime.gpu.throwIfFailed();
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      this.#losses ||= 1; // it was lost before the call began
      await this.#replace(error);
    }
    return this.#parts();
  }

  /**
   * The loss of the device that made the call fail with `error`, if that was it.
   * @throws the signal's reason when aborted.
   */
  async lossBehind(error: unknown): Promise<DeviceLostError | undefined> {
    const lost = error instanceof DeviceLostError ? error : await this.#hiddenLoss(error);
    if (lost === undefined) return undefined;
    this.#signal.throwIfAborted();
    this.#losses++;
    return lost;
  }

  /** On a lost device other things fail too, perhaps before it is known to be lost. */
  async #hiddenLoss(error: unknown): Promise<DeviceLostError | undefined> {
    const isOther = error instanceof LlmError && !(error instanceof ShaderError);
    if (isOther || (this.#signal.aborted && error === this.#signal.reason)) return undefined;
    try {
      return await this.#parts().runtime.gpu.settled(rejected(error));
    } catch (cause) {
      return cause instanceof DeviceLostError ? cause : undefined;
    }
  }

  /** Run what can be begun again from nothing, on another device if its own is lost. */
  async run<T>(call: (parts: EngineParts) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call(await this.parts());
      } catch (error) {
        const lost = await this.lossBehind(error);
        if (lost === undefined) throw error;
        if (this.isSpent) throw lost;
      }
    }
  }

  async #replace(lost: DeviceLostError): Promise<void> {
    if (this.#losses > 1) await pause(PAUSE_MS, this.#signal);
    try {
      await this.#reopen();
    } catch (cause) {
      this.#signal.throwIfAborted();
      if (cause instanceof DeviceLostError) throw cause;
      throw new DeviceLostError(lost.reason, "no other one could be had", { cause });
    }
  }
}

async function rejected(error: unknown): Promise<never> {
  throw error;
}
