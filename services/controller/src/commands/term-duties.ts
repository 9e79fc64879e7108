import type { ControllerCore } from "../core.ts";
import { createRebalanceLoop } from "./rebalance-loop.ts";
import { createRepairLoop } from "./repair-loop.ts";
import type { ActiveTerm } from "./role.ts";

/** What an active controller does by itself: judges sessions, repairs, moves leaders back, elects uncleanly. */
export interface TermDuties {
  /** Takes them up. Resolves when what a predecessor left was repaired, or that was tried once. Never rejects. */
  begin(term: ActiveTerm): Promise<void>;
  /** Lays down what waits for its time. What judges sessions ends with the term itself. */
  end(): void;
  /** A command was left half done: once it can be, it is completed or swept. */
  repairLater(): void;
}

export function createTermDuties(
  core: ControllerCore,
  options: { readonly clusterId: string; readonly onFatal: (error: Error) => void },
): TermDuties {
  const repairs = createRepairLoop(core, options);
  const rebalances = createRebalanceLoop(core);
  return {
    begin(term) {
      core.sessions.begin();
      rebalances.begin(term);
      core.unclean.begin(term);
      return repairs.run(term);
    },
    end() {
      repairs.cancel();
      rebalances.end();
      core.unclean.end();
    },
    repairLater() {
      if (core.role.term !== undefined) repairs.later(core.role.term);
    },
  };
}
