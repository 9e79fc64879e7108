import type { AppendOutcome, Consensus, Leadership } from "@tidemark/consensus";
import type { FaultPlan } from "@tidemark/disk";
import type { ControllerEpoch } from "@tidemark/ids";
import { createManualTime, createSeededRandom, type ManualTime } from "@tidemark/runtime";
import type { NodeEvent } from "../node/events.ts";
import { createMemoryPlaces } from "./memory-places.ts";
import { createRaftCluster, type NodePlaces, type RaftCluster } from "./raft-cluster.ts";

/** A cluster under manual time, its candidates and what its nodes said. */
export interface ManualCluster extends RaftCluster {
  readonly events: readonly { readonly node: number; readonly event: NodeEvent }[];
  readonly now: () => number;
  /** Lets time pass. */
  readonly wait: (ms: number) => Promise<void>;
  /** Starts a candidate, and lets it join. */
  join(node: 1 | 2 | 3): Promise<Candidate>;
  /** All three, the first of them leading. */
  joinAll(): Promise<readonly [Candidate, Candidate, Candidate]>;
  /** The promise's value, while time passes. */
  settled<Value>(promise: Promise<Value>): Promise<Value>;
}

export interface Candidate {
  readonly consensus: Consensus;
  readonly belief: () => Leadership;
  /** Appends as the leader of the epoch that it believes to lead. */
  append(key: string, value: string): Promise<AppendOutcome>;
}

export async function createManualCluster({
  time = createManualTime(),
  onNodeEvent = () => {},
  planOf,
  places = createMemoryPlaces(time.scheduler, planOf),
}: {
  readonly time?: ManualTime;
  readonly onNodeEvent?: (node: number, event: NodeEvent) => void;
  readonly planOf?: (node: number) => FaultPlan;
  readonly places?: NodePlaces;
} = {}): Promise<ManualCluster> {
  const events: { node: number; event: NodeEvent }[] = [];
  const cluster = await createRaftCluster({
    runtime: { ...time, random: createSeededRandom(1) },
    places,
    turn: () => time.advance(5),
    patienceMs: 60_000,
    onNodeEvent(node, event) {
      events.push({ node, event });
      onNodeEvent(node, event);
    },
  });
  const settled = async <Value>(promise: Promise<Value>): Promise<Value> => {
    const progress = { isDone: false };
    const done = () => {
      progress.isDone = true;
    };
    promise.then(done, done);
    await cluster.until(() => progress.isDone, "a promise settles");
    return promise;
  };
  const join = async (node: 1 | 2 | 3): Promise<Candidate> => {
    const consensus = await cluster.start(node);
    const candidate = watched(consensus);
    await settled(consensus.join(cluster.identity(node)));
    return candidate;
  };
  return {
    ...cluster,
    events,
    now: () => time.clock.monotonicMs(),
    wait: (ms) => time.advance(ms),
    settled,
    join,
    async joinAll() {
      const first = await join(1);
      await cluster.until(() => first.belief().kind === "leading", "the first leads");
      return [first, await join(2), await join(3)];
    },
  };
}

function watched(consensus: Consensus): Candidate {
  let belief: Leadership = { kind: "none" };
  const listen = async () => {
    for await (const next of consensus.leadership()) belief = next;
  };
  listen().catch(() => {});
  const epoch = (): ControllerEpoch => {
    if (belief.kind !== "leading") throw new Error("This candidate does not lead");
    return belief.epoch;
  };
  return {
    consensus,
    belief: () => belief,
    append: (key, value) => consensus.append(epoch(), [{ kind: "put", key, value: new TextEncoder().encode(value) }]),
  };
}
