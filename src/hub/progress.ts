/** How far a download, or the check of a stored file, has come. */
export interface DownloadProgress {
  readonly url: string;
  /** `fetch`: missing bytes come from the network; `check`: stored ones are read and hashed. */
  readonly stage: "fetch" | "check";
  /** Of this stage. */
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Of `loadedBytes`, what was there before; 0 in a check. */
  readonly storedBytes: number;
  /** Over this stage; 0 before the first bytes. */
  readonly bytesPerSecond: number;
  /** To the end of this stage; undefined before there is a rate. */
  readonly secondsLeft: number | undefined;
}

/** Tells that a stage begins; the function that it gives tells of more bytes. */
export function startStage(
  { onProgress }: { readonly onProgress?: ((progress: DownloadProgress) => void) | undefined },
  stage: Pick<DownloadProgress, "url" | "stage" | "totalBytes" | "storedBytes">,
): (bytes: number) => void {
  const { totalBytes, storedBytes } = stage;
  const start = performance.now();
  let done = 0;
  const report = (bytes: number): void => {
    done += bytes;
    const seconds = (performance.now() - start) / 1000;
    const bytesPerSecond = done > 0 && seconds > 0 ? done / seconds : 0;
    const loadedBytes = storedBytes + done;
    const secondsLeft =
      bytesPerSecond > 0 ? (totalBytes - loadedBytes) / bytesPerSecond : undefined;
    onProgress?.({ ...stage, loadedBytes, bytesPerSecond, secondsLeft });
  };
  report(0);
  return report;
}
