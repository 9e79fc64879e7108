import type { ControllerEvent } from "@tidemark/controller";

/** Which controllers take themselves for the active one. More than one may, for a while (P14). */
export interface ControllerActivity {
  /** Returns what is to be told of the events of the controller in this process. */
  readonly observe: (process: string) => (event: ControllerEvent) => void;
  /** Controller epoch in which it is active. Undefined: it is not. */
  readonly epochOf: (process: string) => number | undefined;
  /** The process has ended. */
  readonly forget: (process: string) => void;
}

export function createControllerActivity(): ControllerActivity {
  const epochs = new Map<string, number>();
  return {
    observe: (process) => (event) => {
      if (event.kind === "activated") epochs.set(process, event.epoch);
      else if (event.kind === "deactivated") epochs.delete(process);
    },
    epochOf: (process) => epochs.get(process),
    forget: (process) => {
      epochs.delete(process);
    },
  };
}
