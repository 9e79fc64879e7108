import type { Consensus } from "@tidemark/consensus";
import { allElectionGuards, type ElectionGuards } from "@tidemark/metadata";
import type { ControllerEvent } from "./events/controller-events.ts";

/** Protections of a controller's decisions that can be taken out, one at a time. */
export interface ControllerGuards extends ElectionGuards {
  /** Sessions found ended in one round are decided together (D9). */
  readonly decidesTogether: boolean;
}

/** Every protection in place. */
export const allControllerGuards: ControllerGuards = Object.freeze({ ...allElectionGuards, decidesTogether: true });

/**
 * What tests and the simulator may ask of a controller. The program never does: no setting leads here, so protections
 * can be taken out only by code that makes a controller itself.
 */
export interface ControllerExperiment {
  /** Absent: every guard on. */
  readonly guards?: ControllerGuards;
  /** Changes the handle on the store on its way to the controller. */
  readonly wrapConsensus?: (consensus: Consensus) => Consensus;
  /** Told of every event after everybody else. Must not throw. */
  readonly onEvent?: (event: ControllerEvent) => void;
}
