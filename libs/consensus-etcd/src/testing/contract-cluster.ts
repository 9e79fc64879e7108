/** Three candidates on one etcd, real or simulated, each with faults of its own on the way to it. */
import { type CandidateGuards, type Consensus, type ConsensusEvent, createCandidate } from "@tidemark/consensus";
import type { CandidateNumber, ConsensusCluster } from "@tidemark/consensus/contract";
import { controllerId, directoryId } from "@tidemark/ids";
import { delay, type Runtime } from "@tidemark/runtime";
import type { EtcdEvent } from "../events.ts";
import type { EtcdGuards } from "../guards.ts";
import { createEtcdLink, type EtcdLink } from "../link.ts";
import type { EtcdSettings } from "../settings.ts";
import { type EtcdMembers, type EtcdStubs, noLease } from "../stubs.ts";
import { createFaultyMembers, type FaultyMembers } from "./faulty-members.ts";
import { createPausableRuntime, type PausableRuntime } from "./pausable-runtime.ts";

/** The etcd under test. */
export interface EtcdUnderTest {
  readonly members: EtcdMembers;
  /** Kills it with all that is not on stable storage, and resolves when it serves again. */
  powerCut(): Promise<void>;
}

export interface EtcdClusterOptions {
  readonly etcd: EtcdUnderTest;
  readonly runtime: Runtime;
  readonly settings: EtcdSettings;
  /** What `until` does between two looks. Defaults to a short time. */
  readonly turn?: () => Promise<void>;
  readonly onEvent?: (event: ConsensusEvent | EtcdEvent, candidate: CandidateNumber) => void;
  readonly guards?: EtcdGuards;
  readonly candidateGuards?: CandidateGuards;
}

/** How long `until` waits, and how long between two looks, in milliseconds. */
const patienceMs = 40_000;
const turnMs = 5;

interface Process {
  readonly consensus: Consensus;
  readonly link: EtcdLink;
  readonly members: FaultyMembers;
  readonly runtime: PausableRuntime;
}

/** What can happen on the way to etcd besides. */
export interface EtcdCluster extends ConsensusCluster {
  /** What the candidate sends arrives, and the answers wait. */
  holdAnswers(candidate: CandidateNumber): void;
  releaseAnswers(candidate: CandidateNumber): void;
}

export function createEtcdCluster(options: EtcdClusterOptions): EtcdCluster {
  const { etcd, runtime, settings } = options;
  const turn = options.turn ?? (() => delay(runtime.scheduler, turnMs));
  const living = new Map<CandidateNumber, Process>();
  const dead: Process[] = [];
  const get = (candidate: CandidateNumber): Process => {
    const found = living.get(candidate);
    if (found === undefined) throw new Error(`Candidate ${candidate} was not started`);
    return found;
  };
  /** Time may have to be moved on for anything to come back. */
  const driven = async <Value>(promise: Promise<Value>): Promise<Value> => {
    const fate = { isSettled: false };
    const settle = () => {
      fate.isSettled = true;
    };
    promise.then(settle, settle);
    while (!fate.isSettled) await turn();
    return promise;
  };
  const kill = (candidate: CandidateNumber) => {
    const process = get(candidate);
    process.members.kill();
    process.runtime.kill();
    living.delete(candidate);
    dead.push(process);
  };

  return {
    managesMembers: false,
    identity: (candidate) => ({
      controllerId: controllerId(candidate),
      directoryId: directoryId(`00000000-0000-4000-8000-00000000000${candidate}`),
      endpoint: `controller-${candidate}.test:4650`,
    }),
    async start(candidate) {
      if (living.has(candidate)) throw new Error(`Candidate ${candidate} runs`);
      const process = startProcess(candidate, options);
      living.set(candidate, process);
      return process.consensus;
    },
    kill,
    async powerCut() {
      for (const candidate of [...living.keys()]) kill(candidate);
      await driven(etcd.powerCut());
    },
    stall(candidate) {
      get(candidate).members.stall();
      get(candidate).runtime.pause();
    },
    resume(candidate) {
      get(candidate).runtime.resume();
      get(candidate).members.resume();
    },
    cut: (candidate) => get(candidate).members.cut(),
    heal: (candidate) => get(candidate).members.heal(),
    holdWatch: (candidate) => get(candidate).members.holdWatch(),
    holdAnswers: (candidate) => get(candidate).members.holdAnswers(),
    releaseAnswers: (candidate) => get(candidate).members.releaseAnswers(),
    releaseWatch: (candidate) => get(candidate).members.releaseWatch(),
    loseNextRequest: (candidate) => get(candidate).members.loseNextRequest(),
    loseNextAnswer: (candidate) => get(candidate).members.loseNextAnswer(),
    delayNextRequest(candidate, sender = "deadline") {
      const { arrived } = get(candidate).members.delayNextRequest(sender);
      return {
        sent: arrived.then(() => {}),
        async arrive() {
          const request = await arrived;
          // Late: it may be refused because its lease is gone.
          await driven(withStubs(etcd.members, (stubs) => stubs.txn(request).catch(() => undefined)));
        },
      };
    },
    async plant(key, value, { heldBy } = {}) {
      const lease = heldBy === undefined ? noLease : (get(heldBy).members.lease() ?? noLease);
      const put = { kind: "put", key: settings.prefix + key, value, lease } as const;
      await driven(withStubs(etcd.members, (stubs) => stubs.txn({ compares: [], success: [put] })));
    },
    async compact() {
      await driven(
        withStubs(etcd.members, async (stubs) => {
          const { revision } = await stubs.range({ key: "/" });
          await stubs.compact(revision);
        }),
      );
    },
    async until(condition, what) {
      const giveUpAtMs = runtime.clock.monotonicMs() + patienceMs;
      while (!condition()) {
        if (runtime.clock.monotonicMs() > giveUpAtMs) throw new Error(`Not reached: ${what}`);
        await turn();
      }
    },
    async close() {
      for (const process of living.values()) {
        process.runtime.resume();
        process.members.resume();
        process.members.heal();
        process.members.releaseWatch();
        await driven(process.consensus.close());
      }
      for (const process of [...living.values(), ...dead]) process.link.close();
    },
  };
}

function startProcess(candidate: CandidateNumber, options: EtcdClusterOptions): Process {
  const runtime = createPausableRuntime(options.runtime);
  const members = createFaultyMembers(options.etcd.members, runtime.scheduler);
  const onEvent = (event: ConsensusEvent | EtcdEvent) => options.onEvent?.(event, candidate);
  const link = createEtcdLink({
    members,
    settings: options.settings,
    runtime,
    onEvent,
    ...(options.guards === undefined ? {} : { guards: options.guards }),
  });
  const consensus = createCandidate({
    link,
    runtime,
    onEvent,
    ...(options.candidateGuards === undefined ? {} : { guards: options.candidateGuards }),
  });
  return { consensus, link, members, runtime };
}

/** Past all faults of candidates. */
async function withStubs<Answer>(members: EtcdMembers, call: (stubs: EtcdStubs) => Promise<Answer>): Promise<Answer> {
  const [endpoint] = members.endpoints;
  if (endpoint === undefined) throw new Error("There is no etcd");
  const stubs = members.connect(endpoint);
  try {
    return await call(stubs);
  } finally {
    stubs.close();
  }
}
