import type { Consensus } from "../consensus.ts";
import type { CandidateNumber } from "../contract/cluster.ts";
import { detached } from "../detached.ts";
import type { FaultyLink } from "./faulty-link.ts";

/** Turns from a fault to its being noticed: by the candidate first, as with every lease (C4). */
const noticedAfter = { byCandidate: 10, byStore: 20 };

export interface Process {
  readonly consensus: Consensus;
  readonly link: FaultyLink;
}

/** The processes of a cluster, the dead ones too until the store has noticed. */
export interface Processes {
  /** One living process for each candidate. */
  add(candidate: CandidateNumber, process: Process): void;
  get(candidate: CandidateNumber): Process;
  living(): readonly Process[];
  /** Something happened to it that is noticed some turns from now, unless it has recovered by then. */
  beginFault(candidate: CandidateNumber): void;
  readonly kill: (candidate: CandidateNumber) => void;
  /** And forgets them, since the store is gone that would notice. */
  killAll(): void;
  takeTurn(): void;
}

interface Tracked extends Process {
  turnsSinceFault: number | undefined;
}

export function createProcesses(): Processes {
  const living = new Map<CandidateNumber, Tracked>();
  let all: Tracked[] = [];

  const get = (candidate: CandidateNumber): Tracked => {
    const found = living.get(candidate);
    if (found === undefined) throw new Error(`Candidate ${candidate} was not started`);
    return found;
  };
  const beginFault = (candidate: CandidateNumber) => {
    get(candidate).turnsSinceFault = 0;
  };
  const kill = (candidate: CandidateNumber) => {
    get(candidate).link.kill();
    beginFault(candidate);
    living.delete(candidate);
  };

  return {
    add(candidate, process) {
      if (living.has(candidate)) throw new Error(`Candidate ${candidate} runs`);
      const tracked: Tracked = { ...process, turnsSinceFault: undefined };
      living.set(candidate, tracked);
      all.push(tracked);
    },
    get,
    living: () => [...living.values()],
    beginFault,
    kill,
    killAll() {
      for (const candidate of [...living.keys()]) kill(candidate);
      all = [];
    },
    takeTurn() {
      for (const process of all) {
        if (process.turnsSinceFault === undefined) continue;
        process.turnsSinceFault += 1;
        if (process.turnsSinceFault === noticedAfter.byCandidate) process.link.noticeCut();
        if (process.turnsSinceFault === noticedAfter.byStore) detached(process.link.expireSessions());
      }
    },
  };
}
