import { layOut } from "./layout.ts";
import type { ClusterPlan } from "./process-config.ts";
import type { DevIo } from "./run-dev.ts";
import type { CommandResult, Supervisor } from "./supervisor.ts";
import { switchBackend } from "./switch-backend.ts";
import { parseTarget } from "./switch-target.ts";

/** Moves of a running cluster, one at a time. The word is a target as `formatTarget` writes it. */
export function createMoves(of: {
  readonly plan: () => ClusterPlan;
  readonly basePort: number;
  readonly io: DevIo;
  readonly supervisor: Supervisor;
  /** Before members of etcd are started that the plan names. */
  readonly prepare: (plan: ClusterPlan) => void;
  readonly adopt: (plan: ClusterPlan) => void;
}): (word: string) => Promise<CommandResult> {
  const { basePort, io, supervisor, prepare, adopt } = of;
  let isMoving = false;
  return async (word) => {
    const target = parseTarget(word);
    const from = of.plan();
    if (target === undefined) return { ok: false, message: "This names no backend." };
    if (isMoving) return { ok: false, message: "The cluster is moving already." };
    if (target.backend === from.backend) {
      return { ok: false, message: `The cluster keeps its metadata in ${from.backend} already.` };
    }
    isMoving = true;
    try {
      const etcds = layOut({ controllers: 0, brokers: 0, gateways: 0, etcds: target.etcds }, basePort);
      const { data, specs } = from;
      const to = { ...target, data, specs: [...etcds, ...specs.filter(({ role }) => role !== "etcd")] };
      prepare(to);
      supervisor.add(etcds);
      return await switchBackend({ from, to, supervisor, adopt, io, say: io.say });
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error) };
    } finally {
      isMoving = false;
    }
  };
}
