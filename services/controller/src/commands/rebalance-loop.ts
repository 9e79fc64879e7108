import { rebalanceLeaders } from "@tidemark/metadata";
import type { Cancel } from "@tidemark/runtime";
import type { ControllerCore } from "../core.ts";
import type { ActiveTerm } from "./role.ts";

/** Gives leaderships back to the preferred replicas now and then, while this controller is the active one (D4). */
export interface RebalanceLoop {
  begin(term: ActiveTerm): void;
  end(): void;
}

export function createRebalanceLoop(
  core: Pick<ControllerCore, "queue" | "role" | "settings" | "runtime" | "follower">,
): RebalanceLoop {
  const { rebalance } = core.settings;
  let cancel: Cancel = () => undefined;
  const begin = (term: ActiveTerm) => {
    // What is asked for by a term that is over must not stop the timer of the one that came after it.
    if (rebalance === undefined || core.role.term !== term) return;
    cancel();
    cancel = core.runtime.scheduler.after(rebalance.intervalMs, () => {
      check(term, rebalance);
    });
  };
  const check = (term: ActiveTerm, command: { readonly imbalancePercentageMax: number }) => {
    const looked = rebalanceLeaders(core.follower.image, command, { controllerEpoch: term.epoch });
    if (looked.kind === "refused" || looked.changes.length === 0) return begin(term);
    const again = () => begin(term);
    core.queue
      .submitOwn({
        name: "rebalance leaders",
        decide: (image, controllerEpoch) => rebalanceLeaders(image, command, { controllerEpoch }),
      })
      .then(again, again);
  };
  return { begin, end: () => cancel() };
}
