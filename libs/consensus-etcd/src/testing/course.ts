/** A course of events on a simulated etcd under manual time: candidates, their faults, and what they reported. */
import { allCandidateGuards, type CandidateGuards, type ConsensusEvent } from "@tidemark/consensus";
import { type CandidateNumber, type Watched, watchProcess } from "@tidemark/consensus/contract";
import type { ControllerEpoch } from "@tidemark/ids";
import { createManualTime, createSeededRandom, type Random, type Runtime } from "@tidemark/runtime";
import type { EtcdEvent } from "../events.ts";
import { allEtcdGuards, type EtcdGuards } from "../guards.ts";
import type { EtcdSettings } from "../settings.ts";
import { createSimulatedEtcd, type SimulatedEtcd, type SimulatedEtcdOptions } from "../simulated/simulated-etcd.ts";
import type { EtcdMembers } from "../stubs.ts";
import { createEtcdCluster, type EtcdCluster } from "./contract-cluster.ts";

export interface Course {
  readonly etcd: SimulatedEtcd;
  readonly cluster: EtcdCluster;
  readonly events: readonly (ConsensusEvent | EtcdEvent)[];
  readonly prefix: string;
  /** The time of all of them. */
  readonly runtime: Runtime;
  start(candidate: CandidateNumber): Promise<Watched>;
  /** Starts it and waits until it has joined; the first one leads then. */
  join(candidate: CandidateNumber): Promise<Watched>;
  leading(process: Watched): Promise<ControllerEpoch>;
  /** The outcome's kind, or the reason of a refusal. */
  append(process: Watched, epoch: ControllerEpoch, key: string, value?: string): Promise<string>;
  settled<Value>(promise: Promise<Value>): Promise<Value>;
  advance(ms: number): Promise<void>;
  nowMs(): number;
}

export interface CourseOptions {
  readonly guards?: Partial<EtcdGuards>;
  readonly candidateGuards?: Partial<CandidateGuards>;
  readonly random?: Random;
  readonly settings?: Partial<EtcdSettings>;
  readonly etcd?: Omit<SimulatedEtcdOptions, "runtime">;
  /** Puts something between the candidates and etcd. */
  readonly between?: (members: EtcdMembers, runtime: Runtime) => EtcdMembers;
}

/** Runs it, and returns what it returned together with what any watch did that no watch may do. */
export async function runCourse<Value>(
  options: CourseOptions,
  body: (course: Course) => Promise<Value>,
): Promise<{ readonly value: Value; readonly violations: readonly string[] }> {
  const time = createManualTime();
  const runtime = { ...time, random: createSeededRandom(7) };
  const etcd = createSimulatedEtcd({ ...options.etcd, runtime });
  const events: (ConsensusEvent | EtcdEvent)[] = [];
  const settings = { prefix: "/course", leaseMs: 2_000, renewalMs: 500, compaction: undefined, ...options.settings };
  const cluster = createEtcdCluster({
    runtime: { ...runtime, random: options.random ?? runtime.random },
    settings,
    etcd: { members: options.between?.(etcd.members, runtime) ?? etcd.members, powerCut: async () => etcd.powerCut() },
    turn: () => time.advance(5),
    guards: { ...allEtcdGuards, ...options.guards },
    candidateGuards: { ...allCandidateGuards, ...options.candidateGuards },
    onEvent: (event) => events.push(event),
  });
  const processes: Watched[] = [];
  const c: Course = {
    etcd,
    cluster,
    events,
    prefix: settings.prefix,
    runtime,
    async start(candidate) {
      const process = watchProcess(candidate, await cluster.start(candidate));
      processes.push(process);
      return process;
    },
    async join(candidate) {
      const process = await c.start(candidate);
      await c.settled(process.consensus.join(cluster.identity(candidate)));
      if (candidate === 1) await c.leading(process);
      return process;
    },
    async leading(process) {
      await cluster.until(() => process.belief().kind === "leading", `candidate ${process.candidate} leads`);
      const belief = process.belief();
      if (belief.kind !== "leading") throw new Error("It leads no more");
      return belief.epoch;
    },
    async append(process, epoch, key, value = "1") {
      const change = { kind: "put", key, value: Uint8Array.from(Buffer.from(value)) } as const;
      const outcome = await c.settled(process.consensus.append(epoch, [change]));
      return outcome.kind === "refused" ? outcome.reason : outcome.kind;
    },
    async settled(promise) {
      let isSettled = false;
      const settle = () => {
        isSettled = true;
      };
      promise.then(settle, settle);
      await cluster.until(() => isSettled, "it settles");
      return promise;
    },
    advance: (ms) => time.advance(ms),
    nowMs: () => time.clock.monotonicMs(),
  };
  try {
    const value = await body(c);
    return { value, violations: processes.flatMap(({ violations }) => violations) };
  } finally {
    for (const process of processes) process.stop();
    await cluster.close();
    etcd.close();
  }
}
