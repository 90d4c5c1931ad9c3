import { byId, setHidden, setText } from "../dom.ts";

/** The work that the page does one piece at a time, with its buttons, its progress and its end in words. */
export interface Task {
  /** Say something where the task says how it ended. */
  say(text: string, isProblem?: boolean): void;
  /** How far the task has come, from 0 to 1; figures beside it. */
  progress(share: number, figures?: string): void;
  /**
   * Do something that takes time. While another one is under way nothing is begun, and that is said.
   * @param work ends with what is to be said; its signal is aborted by the button Stop
   * @param onError shows an error in a way of its own, and says whether it did
   */
  run(
    what: string,
    work: (signal: AbortSignal) => Promise<string>,
    onError?: (error: unknown) => boolean,
  ): Promise<void>;
}

/**
 * Connect what stands in the page of it.
 * @param onChange told whether a task is under way, to switch what begins one off or on
 */
export function connectTask(onChange: (isBusy: boolean) => void): Task {
  const status = byId("status", HTMLElement);
  const progress = byId("progress", HTMLProgressElement);
  const figures = byId("figures", HTMLElement);
  const stop = byId("stop", HTMLButtonElement);
  let abort: AbortController | undefined;
  stop.addEventListener("click", () => abort?.abort());

  const say = (text: string, isProblem = false): void => {
    status.classList.toggle("problem", isProblem);
    setText(status, text);
  };
  const note = (isBusy: boolean): void => {
    stop.disabled = !isBusy;
    if (!isBusy) setHidden(progress, true);
    setText(figures, "");
    onChange(isBusy);
  };

  return {
    say,
    progress(share, text = "") {
      setHidden(progress, false);
      progress.value = share;
      setText(figures, text);
    },
    async run(what, work, onError) {
      if (abort !== undefined) {
        return say("Something is under way: stop it or wait for its end, then try again.", true);
      }
      const { signal } = (abort = new AbortController());
      note(true);
      say(what);
      try {
        say(await work(signal));
      } catch (error) {
        if (signal.aborted) say("Stopped.");
        else if (onError?.(error)) say("");
        else say(error instanceof Error ? error.message : String(error), true);
      } finally {
        abort = undefined;
        note(false);
      }
    },
  };
}
