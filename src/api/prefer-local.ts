import type { ChatEngine } from "../engine/types.ts";
import { UnsupportedDeviceError, WebGpuUnavailableError } from "../errors.ts";
import { isSoftwareAdapter, requireAdapter } from "../gpu/adapter.ts";

/** The two ways to an engine; only the one that is taken is called. */
export interface PreferLocalOptions<L extends ChatEngine, R extends ChatEngine> {
  /** Load the engine on this device. */
  readonly local: () => Promise<L>;
  /** Make the engine on a server. */
  readonly remote: () => R | Promise<R>;
  /** Also run on a software adapter, slowly. By default the server is taken then. */
  readonly allowSoftware?: boolean;
  /** Where WebGPU comes from; by default `navigator.gpu`. */
  readonly gpu?: GPU;
  /** Heard until `local` or `remote` is called: those are given theirs by the app. */
  readonly signal?: AbortSignal;
}

/** Which way was taken, so that the app can say where the words go. */
export type PreferredEngine<L extends ChatEngine, R extends ChatEngine> =
  | { readonly where: "local"; readonly engine: L }
  | {
      readonly where: "remote";
      readonly engine: R;
      /** Why not on this device. */
      readonly reason: Error;
    };

/**
 * Run on this device where it can, else on the server. Only the device decides, before anything is
 * loaded: a model that can't be loaded is an error, since sending words elsewhere because of it
 * would surprise people.
 * @throws what `local` or `remote` throws; the signal's reason when aborted before.
 */
export async function preferLocal<L extends ChatEngine, R extends ChatEngine>(
  options: PreferLocalOptions<L, R>,
): Promise<PreferredEngine<L, R>> {
  const { signal } = options;
  signal?.throwIfAborted();
  const reason = await whyNotLocal(options);
  signal?.throwIfAborted();
  return reason === undefined
    ? { where: "local", engine: await options.local() }
    : { where: "remote", engine: await options.remote(), reason };
}

async function whyNotLocal(
  options: Pick<PreferLocalOptions<ChatEngine, ChatEngine>, "gpu" | "allowSoftware">,
): Promise<Error | undefined> {
  try {
    const { info } = await requireAdapter(options.gpu);
    if (options.allowSoftware === true || !isSoftwareAdapter(info)) return undefined;
    return new UnsupportedDeviceError("a software adapter", "a GPU", "the processor");
  } catch (error) {
    if (error instanceof WebGpuUnavailableError || error instanceof UnsupportedDeviceError) {
      return error;
    }
    throw error;
  }
}
