/**
 * Three handles of one store in one process, each over a link with faults. Time is counted in turns of `until`: a cut is
 * noticed by the candidate first, and by the store later, as with every lease (C4).
 */
import { controllerId, directoryId } from "@tidemark/ids";
import type { Runtime } from "@tidemark/runtime";
import { createCandidate } from "../candidate/candidate.ts";
import type { Consensus } from "../consensus.ts";
import { type CandidateNumber, type ConsensusCluster, candidateNumbers } from "../contract/cluster.ts";
import { detached } from "../detached.ts";
import type { EventSink } from "../events.ts";
import type { Store } from "../store/store.ts";
import { createFaultyLink, type FaultyLink } from "./faulty-link.ts";

export interface InProcessClusterOptions {
  readonly runtime: Runtime;
  readonly onEvent: EventSink;
  /** Opens the store, the first time and after each power cut. */
  readonly openStore: () => Promise<Store>;
  /** Lets everything that can go on do so. Defaults to one turn of the event loop, input included. */
  readonly turn?: (() => Promise<void>) | undefined;
  /** Drops whatever is not on stable storage, and cuts the store that is open off from it. */
  readonly dropUnflushed: () => void | Promise<void>;
}

/** Turns of `until` from a fault to its being noticed. */
const noticedAfter = { byCandidate: 10, byStore: 20 };
const patienceMs = 15_000;

interface Process {
  readonly consensus: Consensus;
  readonly link: FaultyLink;
  /** Turns since the last fault began. What has recovered by then is not ended. */
  faultTurns: number | undefined;
}

export async function createInProcessCluster(options: InProcessClusterOptions): Promise<ConsensusCluster> {
  const { runtime, onEvent } = options;
  const turn = options.turn ?? (() => new Promise<void>((resolve) => runtime.scheduler.afterInput(resolve)));
  let store = await options.openStore();
  const living = new Map<CandidateNumber, Process>();
  let processes: Process[] = [];

  const processOf = (candidate: CandidateNumber): Process => {
    const found = living.get(candidate);
    if (found === undefined) throw new Error(`Candidate ${candidate} was not started`);
    return found;
  };
  const linkOf = (candidate: CandidateNumber) => processOf(candidate).link;
  const beginFault = (candidate: CandidateNumber) => {
    processOf(candidate).faultTurns = 0;
  };

  const takeTurn = () => {
    for (const process of processes) {
      if (process.faultTurns === undefined) continue;
      process.faultTurns += 1;
      if (process.faultTurns === noticedAfter.byCandidate) process.link.noticeCut();
      if (process.faultTurns === noticedAfter.byStore) detached(process.link.expireSessions());
    }
  };

  const killProcess = (candidate: CandidateNumber) => {
    linkOf(candidate).kill();
    beginFault(candidate);
    living.delete(candidate);
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
      const link = createFaultyLink(store);
      const consensus = createCandidate({ link, runtime, onEvent });
      const process: Process = { consensus, link, faultTurns: undefined };
      living.set(candidate, process);
      processes.push(process);
      return consensus;
    },
    kill: killProcess,
    async powerCut() {
      for (const candidate of [...living.keys()]) killProcess(candidate);
      processes = [];
      await options.dropUnflushed();
      store = await options.openStore();
    },
    stall(candidate) {
      linkOf(candidate).stall();
      beginFault(candidate);
    },
    resume(candidate) {
      linkOf(candidate).resume();
    },
    cut(candidate) {
      linkOf(candidate).cut();
      beginFault(candidate);
    },
    heal: (candidate) => linkOf(candidate).heal(),
    holdWatch: (candidate) => linkOf(candidate).holdFeed(),
    releaseWatch: (candidate) => linkOf(candidate).releaseFeed(),
    loseNextRequest: (candidate) => linkOf(candidate).loseNextRequest(),
    loseNextAnswer: (candidate) => linkOf(candidate).loseNextAnswer(),
    delayNextRequest(candidate, sender = "deadline") {
      const delayed = linkOf(candidate).delayNextRequest(sender);
      return {
        sent: delayed.arrived,
        async arrive() {
          await delayed.deliver();
        },
      };
    },
    async plant(key, value, { heldBy } = {}) {
      const through = heldBy ?? candidateNumbers.find((candidate) => living.has(candidate)) ?? 1;
      await linkOf(through).plant(key, value, { ephemeral: heldBy !== undefined });
    },
    compact: () => store.compact(),
    async until(condition, what) {
      const giveUpAt = runtime.clock.monotonicMs() + patienceMs;
      while (!condition()) {
        if (runtime.clock.monotonicMs() > giveUpAt) throw new Error(`Not reached: ${what}`);
        takeTurn();
        await turn();
      }
    },
    async close() {
      for (const { link, consensus } of living.values()) {
        link.resume();
        await consensus.close();
      }
      await store.close();
    },
  };
}
