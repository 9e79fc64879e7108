import { TidemarkError } from "@tidemark/rpc";
import { pick } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import { type FaultKind, type FaultWorld, faultKinds } from "./fault-kinds.ts";
import { repairDirectories } from "./repair.ts";
import { type ScenarioName, scenarios } from "./scenarios.ts";
import { createStage, StageOver } from "./stage.ts";

/** Does harm from time to time until it is told to stop; then everything is mended that can be. */
export interface Nemesis {
  /**
   * No further faults, and those that last are ended. Nodes that are down are started; those `outside` are ended, and stay
   * so until it is called without them.
   */
  heal(outside?: ReadonlySet<SimNode>): void;
  /** Adds what somebody else did to the history. */
  note(text: string): void;
  /** How often each kind was done. */
  readonly counts: ReadonlyMap<string, number>;
  /** What was done, with its time in milliseconds of the run. */
  readonly history: readonly string[];
}

export interface NemesisPlan {
  /** Empty: scenarios alone. */
  readonly kinds: readonly FaultKind[];
  /** One at a time, beside single faults. */
  readonly scenarios: readonly ScenarioName[];
  /** Mean pause from one fault to the next, in milliseconds. Faults that last may overlap. */
  readonly pauseMs: number;
}

/** Share of the faults that are a scenario, where there are both. */
const scenarioShare = 0.35;

export function startNemesis(world: FaultWorld, plan: NemesisPlan): Nemesis {
  const { engine, random, cluster } = world;
  const counts = new Map<string, number>();
  const history: string[] = [];
  const lasting = new Set<() => void>();
  let isInScenario = false;
  let isOver = false;

  const note = (kind: string, text: string) => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    history.push(`${engine.nowMs.toFixed(0)} ms: ${text}`);
    engine.hash.add(history.length);
  };
  const once = (mend: () => void) => {
    const end = () => {
      if (lasting.delete(end)) mend();
    };
    lasting.add(end);
    return end;
  };
  const beginFault = () => {
    const kind = pick(random, plan.kinds);
    const fault = kind === undefined ? undefined : faultKinds[kind](world);
    if (kind === undefined || fault === undefined) return;
    note(kind, `${fault.text}, for ${Math.round(fault.lastsMs)} ms`);
    engine.after(fault.lastsMs, once(fault.end));
  };
  const beginScenario = () => {
    const name = pick(random, plan.scenarios);
    if (name === undefined || isInScenario) return;
    isInScenario = true;
    note(name, `${name} begins`);
    const mends: (() => void)[] = [];
    const stage = createStage(world, {
      undo: (mend) => mends.push(once(mend)),
      isOver: () => isOver,
      note: (text) => history.push(`${engine.nowMs.toFixed(0)} ms:   ${text}`),
    });
    scenarios[name](stage)
      .catch((error: unknown) => {
        // Other faults may keep its commands from being carried out: then it ends there.
        if (!(error instanceof StageOver || error instanceof TidemarkError)) throw error;
      })
      .finally(() => {
        isInScenario = false;
        for (const mend of mends) mend();
      })
      .catch(rethrow);
  };
  const begin = () => {
    if (isOver) return;
    const isScenario = plan.kinds.length === 0 || (plan.scenarios.length > 0 && random.next() < scenarioShare);
    if (isScenario) beginScenario();
    else beginFault();
    next();
  };
  const next = () => engine.after(-Math.log(1 - random.next()) * plan.pauseMs, begin);
  const rethrow = (error: unknown) => {
    engine.after(0, () => {
      throw error;
    });
  };
  next();

  return {
    counts,
    history,
    note: (text) => history.push(`${engine.nowMs.toFixed(0)} ms: ${text}`),
    heal(outside = new Set()) {
      isOver = true;
      history.push(
        `${engine.nowMs.toFixed(0)} ms: heal${outside.size === 0 ? "" : `, without ${Array.from(outside, ({ name }) => name).join(",")}`}`,
      );
      for (const end of [...lasting]) end();
      for (const node of cluster.nodes) {
        if (outside.has(node)) {
          node.retire();
          continue;
        }
        node.reinstate();
        node.process?.resume();
        node.device.faults.stalledUntilMs = 0;
        node.device.faults.capacity = Number.POSITIVE_INFINITY;
        node.device.faults.failedSyncs = 0;
        node.device.faults.failing = undefined;
        node.boot();
      }
      if (outside.size === 0)
        repairDirectories(world, (text) => history.push(`${engine.nowMs.toFixed(0)} ms: ${text}`));
    },
  };
}
