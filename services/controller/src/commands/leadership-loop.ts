import type { Consensus, Leadership } from "@tidemark/consensus";
import type { ControllerId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { type Cancel, createDeferred, randomUuid } from "@tidemark/runtime";
import type { ControllerCore } from "../core.ts";
import type { KnownController } from "../errors.ts";
import type { ActiveTerm } from "./role.ts";
import { type ClusterIdentity, ControllerRefusedError, checkCluster, repair } from "./term-start.ts";

/** From beliefs of the store to terms of this controller. */
export interface LeadershipLoop {
  /** Follows the beliefs until the store closes; throws what that throws. Called once. */
  run(): Promise<void>;
  /** Resolves when there is an active controller: another one, or this one with its first commands done. */
  readonly led: Promise<void>;
  /** The active controller where it is another one and the latest belief names it. */
  known(): KnownController | undefined;
  /** The active controller by the latest belief, this one too. */
  readonly leader: () => { readonly id: number; readonly controllerEpoch: number } | undefined;
  /** Gives leadership up after a doubt: a new term, here or elsewhere, begins with what is known. */
  resign(): void;
  /** A command was left half done: once it can be, it is completed or swept. */
  repairLater(): void;
}

/** Until what could not be committed is tried again. */
const repairDelayMs = 1000;

export function createLeadershipLoop(
  core: ControllerCore,
  options: {
    readonly consensus: Consensus;
    readonly controllerId: ControllerId;
    readonly cluster: ClusterIdentity;
    readonly onFatal: (error: Error) => void;
  },
): LeadershipLoop {
  const { role, follower, runtime, sessions } = core;
  /** Made once: a claim that is repeated names the same cluster. */
  const newClusterId = randomUuid(runtime.random);
  const led = createDeferred();
  let belief: Leadership = { kind: "none" };
  let superseded = new AbortController();
  let cancelRepair: Cancel = () => undefined;

  const runRepair = (term: ActiveTerm): Promise<void> =>
    repair(core, term.epoch, options.cluster.configured ?? newClusterId).catch((error: unknown) => {
      if (role.term !== term) return;
      if (error instanceof TidemarkError && error.reason === Reason.INTERNAL) {
        options.onFatal(new ControllerRefusedError(error.message));
      } else {
        scheduleRepair(term);
      }
    });
  const scheduleRepair = (term: ActiveTerm) => {
    cancelRepair();
    cancelRepair = runtime.scheduler.after(repairDelayMs, () => {
      if (role.term === term) pending = runRepair(term);
    });
  };
  /** What runs beside the beliefs. Never rejects. */
  let pending: Promise<void> = Promise.resolve();

  const begin = async (leading: Extract<Leadership, { kind: "leading" }>, signal: AbortSignal) => {
    const { epoch, revision } = leading;
    await follower.reached(revision, signal);
    checkCluster(follower.image, { ...options.cluster, isWhole: true });
    const term = role.activate(epoch);
    sessions.begin();
    core.onEvent({ kind: "activated", epoch, revision, sessions: follower.image.sessions.size });
    await runRepair(term);
    led.resolve();
  };

  const follow = (next: Leadership) => {
    if (next.kind === "leading" && belief.kind === "leading" && next.epoch === belief.epoch) return;
    belief = next;
    superseded.abort();
    superseded = new AbortController();
    cancelRepair();
    if (role.term !== undefined) role.deactivate(role.term.epoch, "the store says that leadership ended");
    if (next.kind === "following" && next.leader !== options.controllerId) led.resolve();
    if (next.kind !== "leading") return;
    const { signal } = superseded;
    pending = begin(next, signal).catch((error: unknown) => {
      if (!signal.aborted) options.onFatal(error instanceof Error ? error : new Error("A defect", { cause: error }));
    });
  };

  return {
    led: led.promise,
    async run() {
      for await (const next of options.consensus.leadership()) follow(next);
      follow({ kind: "none" });
      await pending;
    },
    known() {
      // Following oneself is following the ghost of an earlier start.
      if (belief.kind !== "following" || belief.leader === options.controllerId) return undefined;
      return { id: belief.leader, endpoint: belief.endpoint, controllerEpoch: belief.epoch };
    },
    leader() {
      switch (belief.kind) {
        case "none":
          return undefined;
        case "following":
          return { id: belief.leader, controllerEpoch: belief.epoch };
        case "leading":
          return { id: options.controllerId, controllerEpoch: belief.epoch };
      }
    },
    resign() {
      pending = options.consensus.resign().catch(() => {
        // A store that closed or failed tells so by the end of the beliefs.
      });
    },
    repairLater() {
      if (role.term !== undefined) scheduleRepair(role.term);
    },
  };
}
