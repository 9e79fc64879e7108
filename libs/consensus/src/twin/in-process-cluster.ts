/**
 * Three handles of one store in one process, each over a link with faults. Time is counted in turns of `until`: a cut is
 * noticed by the candidate first, and by the store later, as with every lease (C4).
 */
import { controllerId, directoryId } from "@tidemark/ids";
import type { Runtime } from "@tidemark/runtime";
import { createCandidate } from "../candidate/candidate.ts";
import type { CandidateNumber, ConsensusCluster } from "../contract/cluster.ts";
import type { EventSink } from "../events.ts";
import type { Store } from "../store/store.ts";
import { createFaultyLink } from "./faulty-link.ts";
import { createProcesses, type Processes } from "./processes.ts";

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

/** How long `until` waits, in milliseconds. */
const patienceMs = 15_000;

export async function createInProcessCluster(options: InProcessClusterOptions): Promise<ConsensusCluster> {
  const { runtime, onEvent } = options;
  const turn = options.turn ?? (() => new Promise<void>((resolve) => runtime.scheduler.afterInput(resolve)));
  const processes = createProcesses();
  let store = await options.openStore();

  return {
    ...faultsOf(processes),
    managesMembers: false,
    identity: (candidate) => ({
      controllerId: controllerId(candidate),
      directoryId: directoryId(`00000000-0000-4000-8000-00000000000${candidate}`),
      endpoint: `controller-${candidate}.test:4650`,
    }),
    async start(candidate) {
      const link = createFaultyLink(store);
      const consensus = createCandidate({ link, runtime, onEvent });
      processes.add(candidate, { consensus, link });
      return consensus;
    },
    async powerCut() {
      processes.killAll();
      await options.dropUnflushed();
      store = await options.openStore();
    },
    compact: () => store.compact(),
    async until(condition, what) {
      const giveUpAt = runtime.clock.monotonicMs() + patienceMs;
      while (!condition()) {
        if (runtime.clock.monotonicMs() > giveUpAt) throw new Error(`Not reached: ${what}`);
        processes.takeTurn();
        await turn();
      }
    },
    async close() {
      for (const { link, consensus } of processes.living()) {
        link.resume();
        await consensus.close();
      }
      await store.close();
    },
  };
}

type Faults = Pick<
  ConsensusCluster,
  | "kill"
  | "stall"
  | "resume"
  | "cut"
  | "heal"
  | "holdWatch"
  | "releaseWatch"
  | "loseNextRequest"
  | "loseNextAnswer"
  | "delayNextRequest"
  | "plant"
>;

function faultsOf(processes: Processes): Faults {
  const linkOf = (candidate: CandidateNumber) => processes.get(candidate).link;
  return {
    kill: processes.kill,
    stall(candidate) {
      linkOf(candidate).stall();
      processes.beginFault(candidate);
    },
    resume: (candidate) => linkOf(candidate).resume(),
    cut(candidate) {
      linkOf(candidate).cut();
      processes.beginFault(candidate);
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
      const [anyone] = processes.living();
      const through = heldBy === undefined ? anyone : processes.get(heldBy);
      if (through === undefined) throw new Error("Nobody runs through whom a value could be planted");
      await through.link.plant(key, value, { ephemeral: heldBy !== undefined });
    },
  };
}
