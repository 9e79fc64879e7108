import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { ControllerCore } from "../core.ts";
import type { ActiveTerm } from "./role.ts";
import { repair } from "./term-start.ts";

/** Brings the metadata into order, and tries again while that fails for want of room or the like. */
export interface RepairLoop {
  /** Resolves when it was tried once. Never rejects. */
  run(term: ActiveTerm): Promise<void>;
  /** Tries in a while, unless the term ends before. */
  later(term: ActiveTerm): void;
  cancel(): void;
}

const retryDelayMs = 1000;

export function createRepairLoop(
  core: Pick<ControllerCore, "queue" | "role" | "settings" | "runtime" | "guards">,
  options: { readonly clusterId: string; readonly onFatal: (error: Error) => void },
): RepairLoop {
  let cancel: Cancel = () => undefined;
  const run = (term: ActiveTerm): Promise<void> =>
    repair(core, term.epoch, options.clusterId).catch((error: unknown) => {
      if (core.role.term !== term) return;
      if (error instanceof TidemarkError && error.reason === Reason.INTERNAL) {
        options.onFatal(new StartRefusedError(error.message));
      } else {
        later(term);
      }
    });
  const later = (term: ActiveTerm) => {
    cancel();
    cancel = core.runtime.scheduler.after(retryDelayMs, () => {
      if (core.role.term === term) run(term).catch(options.onFatal);
    });
  };
  return { run, later, cancel: () => cancel() };
}
