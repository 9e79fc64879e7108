import type { Consensus, Leadership } from "@tidemark/consensus";
import type { ControllerId } from "@tidemark/ids";
import { createDeferred, randomUuid } from "@tidemark/runtime";
import type { ControllerCore } from "../core.ts";
import type { KnownController } from "../errors.ts";
import { createTermDuties } from "./term-duties.ts";
import { type ClusterIdentity, checkCluster } from "./term-start.ts";

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

export function createLeadershipLoop(
  core: ControllerCore,
  options: {
    readonly consensus: Consensus;
    readonly controllerId: ControllerId;
    readonly cluster: ClusterIdentity;
    readonly onLed?: ((isLed: boolean) => void) | undefined;
    readonly onFatal: (error: Error) => void;
  },
): LeadershipLoop {
  const { role, follower, runtime } = core;
  const { consensus, controllerId, cluster, onLed, onFatal } = options;
  // Made once: a claim that is repeated names the same cluster.
  const clusterId = cluster.configured ?? randomUuid(runtime.random);
  const duties = createTermDuties(core, { clusterId, onFatal });
  const led = createDeferred();
  let belief: Leadership = { kind: "none" };
  let superseded = new AbortController();
  /** The latest of what runs beside the beliefs. Never rejects. */
  let pending: Promise<void> = Promise.resolve();

  const noteLed = (isLed: boolean) => {
    if (isLed) led.resolve();
    onLed?.(isLed);
  };
  const begin = async (leading: Extract<Leadership, { kind: "leading" }>, signal: AbortSignal) => {
    const { epoch, revision } = leading;
    await follower.reached(revision, signal);
    checkCluster(follower.image, { ...cluster, isWhole: true });
    if (role.isHalted) return;
    const repaired = duties.begin(role.activate(epoch));
    core.onEvent({ kind: "activated", epoch, revision, sessions: follower.image.sessions.size });
    await repaired;
    // What ended meanwhile was told by the belief that came behind it.
    if (signal.aborted) return;
    core.onEvent({ kind: "tookUp", epoch });
    noteLed(true);
  };

  const follow = (next: Leadership) => {
    if (next.kind === "leading" && belief.kind === "leading" && next.epoch === belief.epoch) return;
    belief = next;
    core.onEvent({
      kind: "believed",
      belief: next.kind,
      leader: next.kind === "following" && next.leader !== controllerId ? next.leader : undefined,
      epoch: next.kind === "none" ? undefined : next.epoch,
    });
    superseded.abort();
    superseded = new AbortController();
    duties.end();
    if (role.term !== undefined) role.deactivate(role.term.epoch, "the store says that leadership ended");
    noteLed(next.kind === "following" && next.leader !== controllerId);
    if (next.kind !== "leading") return;
    const { signal } = superseded;
    pending = begin(next, signal).catch((error: unknown) => {
      if (!signal.aborted) onFatal(error instanceof Error ? error : new Error("A defect", { cause: error }));
    });
  };

  return {
    led: led.promise,
    async run() {
      for await (const next of consensus.leadership()) follow(next);
      follow({ kind: "none" });
      await pending;
    },
    known: () => knownBy(belief, controllerId),
    leader: () => leaderBy(belief, controllerId),
    resign() {
      // A store that closed or failed tells so by the end of the beliefs.
      pending = consensus.resign().then(ignore, ignore);
    },
    repairLater: () => duties.repairLater(),
  };
}

/** The active controller where a belief names another one than `own`. */
function knownBy(belief: Leadership, own: ControllerId): KnownController | undefined {
  // Following oneself is following the ghost of an earlier start.
  if (belief.kind !== "following" || belief.leader === own) return undefined;
  return { id: belief.leader, endpoint: belief.endpoint, controllerEpoch: belief.epoch };
}

function leaderBy(belief: Leadership, own: ControllerId): ReturnType<LeadershipLoop["leader"]> {
  switch (belief.kind) {
    case "none":
      return undefined;
    case "following":
      return { id: belief.leader, controllerEpoch: belief.epoch };
    case "leading":
      return { id: own, controllerEpoch: belief.epoch };
  }
}

function ignore(): void {}
