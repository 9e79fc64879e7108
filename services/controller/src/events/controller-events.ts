import type { BrokerId, ControllerEpoch, ControllerId, Revision } from "@tidemark/ids";
import type { MetadataEvent, SessionEndCause } from "@tidemark/metadata";

/**
 * What a controller tells about itself: spans, metrics and log lines are made from these, and from nothing else.
 * Durations are in milliseconds of the monotonic clock.
 */
export type ControllerEvent =
  | {
      readonly kind: "activated";
      readonly epoch: ControllerEpoch;
      readonly revision: Revision;
      readonly sessions: number;
    }
  /** What the store says of who leads. `leader`: the id of another one; undefined where it is this one, or nobody. */
  | {
      readonly kind: "believed";
      readonly belief: "none" | "following" | "leading";
      readonly leader: ControllerId | undefined;
      readonly epoch: ControllerEpoch | undefined;
    }
  /** What a predecessor left was repaired, or that was tried once: the active controller is at everybody's service. */
  | { readonly kind: "tookUp"; readonly epoch: ControllerEpoch }
  | { readonly kind: "deactivated"; readonly epoch: ControllerEpoch; readonly why: string }
  /** What a command decided, before anything of it is committed. `durationMs` is that of the decision. */
  | {
      readonly kind: "committing";
      readonly command: string;
      readonly epoch: ControllerEpoch;
      readonly events: readonly MetadataEvent[];
      readonly durationMs: number;
    }
  /** What a command decided, once all of it is committed; `revision` is that of its last batch. */
  | {
      readonly kind: "decided";
      readonly command: string;
      readonly epoch: ControllerEpoch;
      readonly revision: Revision;
      readonly events: readonly MetadataEvent[];
    }
  /** A batch is about to be handed to the store: `batchCommitted` or `commandFailed` follows. */
  | {
      readonly kind: "batchCommitting";
      /** From 1. */
      readonly batch: number;
      readonly batches: number;
      readonly changes: number;
    }
  | {
      readonly kind: "batchCommitted";
      readonly command: string;
      readonly epoch: ControllerEpoch;
      /** From 1. */
      readonly batch: number;
      readonly batches: number;
      readonly changes: number;
      readonly revision: Revision;
      readonly durationMs: number;
    }
  | { readonly kind: "commandFailed"; readonly command: string; readonly reason: string; readonly message: string }
  | { readonly kind: "connectionLost"; readonly brokerId: BrokerId }
  /** A session was found over, after so long without a heartbeat; it is about to be ended. */
  | {
      readonly kind: "sessionOver";
      readonly brokerId: BrokerId;
      readonly cause: SessionEndCause;
      readonly silentMs: number;
    }
  /** One that was found over was heard before its end was decided: it goes on. */
  | { readonly kind: "sessionBack"; readonly brokerId: BrokerId }
  /** A broker was handed the metadata up to this revision. */
  | { readonly kind: "published"; readonly brokerId: BrokerId; readonly revision: Revision }
  | {
      readonly kind: "probed";
      readonly brokerId: BrokerId;
      readonly result: "reached" | "refused" | "unreachable";
      /** Whether it ends the session; if not, why. */
      readonly verdict: "ended" | "waits" | "never reached before" | "came back before" | "suspects itself";
    }
  | { readonly kind: "defect"; readonly message: string }
  | { readonly kind: "stalled"; readonly durationMs: number }
  | { readonly kind: "malformedKey"; readonly key: string; readonly message: string }
  | {
      readonly kind: "regressed";
      readonly brokerId: BrokerId;
      readonly brokerSaw: number;
      readonly epoch: ControllerEpoch;
    };
