import { EtcdOpenError } from "@tidemark/consensus-etcd";
import type { ProcessExit } from "../cluster/node.ts";
import type { Violations } from "./violations.ts";

/**
 * A process ends by itself only where its own disk gave it cause to: a log directory that failed, a store that could not
 * be written, another disk under a living broker's id; or where the etcd that it was to join says that it has no space, and
 * somebody has to make room (the start says how). Whatever the network, the clocks and other processes do, it goes
 * on, and waits where it has to. A supervisor starts it again, so that nothing else in a run would show an end for nothing.
 */
export function createExitWatch({ report }: Pick<Violations, "report">): (exit: ProcessExit) => void {
  return ({ node, error, isOfDisk }) => {
    if (!isOfDisk && !saysNoSpace(error)) report("a process ended without a cause", `${node}: ${error.message}`);
  };
}

function saysNoSpace({ cause }: Error): boolean {
  return cause instanceof EtcdOpenError && cause.code === "NO_SPACE";
}
