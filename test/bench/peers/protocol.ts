/** What the benchmark asks a peer, which runs in a process of its own. */
export interface PeerRequest {
  /** The folder into which npm installed the peers. */
  readonly folder: string;
  /** A GGUF file, or the folder of an ONNX model. */
  readonly model: string;
  /** How the weights of an ONNX model are stored. */
  readonly dtype: OnnxDtype;
  readonly prompts: readonly (readonly number[])[];
  /** Tokens of each answer. */
  readonly newTokens: number;
  /** Measurements of each prompt, after a warm-up. */
  readonly runs: number;
}

/** Weights of an exported ONNX model: exact, or rounded once more. */
export type OnnxDtype = "fp32" | "q4";

/** One answer of a peer, timed as ours are. */
export interface PeerRun {
  readonly promptTokens: number;
  /** From the call to the first new token. */
  readonly prefillSeconds: number;
  /** From the first new token to the last. */
  readonly decodeSeconds: number;
  readonly tokenIds: readonly number[];
  /** Load average over one minute after it. */
  readonly load: number;
}

/** What a peer tells, one JSON object per line: first on what it runs, then each run. */
export type PeerMessage = { readonly device: string } | PeerRun;

/** Begins each line that is a message: native libraries write to stdout what they like. */
const MARK = "peer:";

export function writeMessage(message: PeerMessage): void {
  process.stdout.write(`${MARK}${JSON.stringify(message)}\n`);
}

/** The message in a line of a peer's output; nothing for any other line. */
export function readMessage(line: string): PeerMessage | undefined {
  if (!line.startsWith(MARK)) return undefined;
  try {
    return JSON.parse(line.slice(MARK.length)) as PeerMessage;
  } catch {
    return undefined; // cut off when the process was killed
  }
}
