import { checkDevice, type DeviceCheck } from "../device-check.ts";
import { byId } from "../dom.ts";
import type { Problem, Remedy } from "../problem.ts";
import { deviceNotice, softwareNotice } from "../views/device-notice.ts";
import { diagnosticsBox } from "../views/diagnostics-box.ts";
import { problemNotice } from "../views/problem-notice.ts";

/** What the page tells of the GPU, and of work that failed. */
export interface Notices {
  /** Whether a model can run here; false until that is known. */
  readonly canRun: boolean;
  /** The device is known. Before that a worker that asks for it may get none: the GPU's process is starting. */
  readonly looked: Promise<void>;
  /** Tell of a failure, with diagnostics to copy; nothing given takes it away. */
  show(problem: Problem | undefined): void;
}

/**
 * Look at the device, and connect where notices stand.
 * @param onRemedy does what the button of a problem says, `onLooked` is called when the device is known
 */
export function connectNotices(onRemedy: (remedy: Remedy) => void, onLooked: () => void): Notices {
  const place = byId("problem", HTMLElement);
  let device: DeviceCheck | undefined;
  const looked = checkDevice().then((check) => {
    device = check;
    const { problem, isSoftware } = check;
    const notice =
      problem !== undefined
        ? deviceNotice(problem, check)
        : isSoftware
          ? softwareNotice(check)
          : undefined;
    byId("device", HTMLElement).replaceChildren(...(notice === undefined ? [] : [notice]));
    onLooked();
  });
  return {
    looked,
    get canRun() {
      return device !== undefined && device.problem === undefined;
    },
    show(problem) {
      if (problem === undefined) return place.replaceChildren();
      const notice = problemNotice(problem, onRemedy);
      notice.append(diagnosticsBox(() => device?.diagnostics ?? ""));
      place.replaceChildren(notice);
    },
  };
}
