import { pick } from "@tidemark/runtime";
import { type FaultKind, type FaultWorld, faultKinds } from "./fault-kinds.ts";

/** Does harm from time to time until it is told to stop; then everything is mended that can be. */
export interface Nemesis {
  /** No further faults, and those that last are ended. Nodes that are down are started. */
  heal(): void;
  /** How often each kind was done. */
  readonly counts: ReadonlyMap<FaultKind, number>;
  /** What was done, with its time in milliseconds of the run. */
  readonly history: readonly string[];
}

export interface NemesisPlan {
  readonly kinds: readonly FaultKind[];
  /** Mean pause from one fault to the next, in milliseconds. Faults that last may overlap. */
  readonly pauseMs: number;
}

export function startNemesis(world: FaultWorld, plan: NemesisPlan): Nemesis {
  const { engine, random, cluster } = world;
  const counts = new Map<FaultKind, number>();
  const history: string[] = [];
  const lasting = new Set<() => void>();
  let isOver = false;

  const note = (text: string) => history.push(`${engine.nowMs.toFixed(0)} ms: ${text}`);
  const begin = () => {
    if (isOver) return;
    const kind = pick(random, plan.kinds);
    const fault = kind === undefined ? undefined : faultKinds[kind](world);
    if (kind !== undefined && fault !== undefined) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      note(`${fault.text}, for ${Math.round(fault.lastsMs)} ms`);
      engine.hash.add(history.length);
      const end = () => {
        if (lasting.delete(end)) fault.end();
      };
      lasting.add(end);
      engine.after(fault.lastsMs, end);
    }
    next();
  };
  const next = () => engine.after(-Math.log(1 - random.next()) * plan.pauseMs, begin);
  next();

  return {
    counts,
    history,
    heal() {
      isOver = true;
      note("heal");
      for (const end of [...lasting]) end();
      for (const node of cluster.nodes) node.boot();
    },
  };
}
