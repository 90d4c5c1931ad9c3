/** For pages without a bundler: a worker without a file of its own. */

/**
 * A worker for `createWorkerEngine` whose script comes out of the package, by a Blob. Where a Content
 * Security Policy is set, it needs `worker-src blob:`; where that is not wanted, let the app own a
 * worker's file.
 */
export async function inlineWorker(): Promise<Worker> {
  // Only now: the module looks at what a browser has as soon as it is imported.
  const { default: InlineWorker } = await import("./worker.ts?worker&inline");
  return new InlineWorker();
}
