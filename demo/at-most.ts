/** Does something at most so often. */
export interface Limited {
  /** Do it, now or as soon as its time has come; several wishes until then are one. */
  ask(): void;
  /** Do it now; what was asked for before is done with it. */
  now(): void;
}

/** Limit `action` to once in `ms`; the last wish is always followed. */
export function atMostEvery(ms: number, action: () => void): Limited {
  let lastAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const now = (): void => {
    clearTimeout(timer);
    timer = undefined;
    lastAt = performance.now();
    action();
  };
  return {
    now,
    ask() {
      const left = lastAt + ms - performance.now();
      if (left <= 0) now();
      else timer ??= setTimeout(now, left);
    },
  };
}
