import { type BrokerEpoch, type BrokerId, brokerEpoch, type DirectoryId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { applyChanges } from "./apply.ts";
import { type MetadataChange, putKnownBroker, putSession, removal } from "./change.ts";
import { markDamaged, type ReplicaId } from "./damage.ts";
import { type Decision, decided, type Refusal, refused } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { mayHaveFlushedAsync } from "./flush-mode.ts";
import type { MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { BrokerSession, Endpoint, KnownBroker, Replica, Topic } from "./model.ts";
import { markOffline } from "./offline-mark.ts";
import { enterCopiedAnew } from "./receipt-cuts.ts";
import { markRegressed, type SeenState } from "./regressed.ts";
import { rehomeReplicas } from "./rehome.ts";
import { type SettleContext, settlePartitions } from "./settle.ts";

export interface RegisterBrokerCommand {
  readonly brokerId: BrokerId;
  readonly incarnationId: string;
  /** Empty: the broker belongs to no cluster yet. */
  readonly clusterId: string;
  /** Those that work. */
  readonly directoryIds: readonly DirectoryId[];
  /** Whether these are all that it is configured with, so that another one that the metadata name is gone. */
  readonly allDirectoriesWork: boolean;
  readonly endpoints: readonly Endpoint[];
  readonly rack: string;
  /** The broker epoch under which it stopped cleanly. Undefined: it did not. */
  readonly cleanStopBrokerEpoch: BrokerEpoch | undefined;
  /** Identifies the boot of its machine. Empty: not known, and then never the same as another. */
  readonly bootId: string;
  /** Whether topics that do not say how they flush are flushed asynchronously. */
  readonly flushAsync: boolean;
  /** Replicas that it found damaged and has not begun to copy again (L10). */
  readonly damaged: readonly ReplicaId[];
  /** What its replicas have seen that it found the metadata not to know. */
  readonly regressed: readonly SeenState[];
  /** Replicas that it cannot serve though their directory works. */
  readonly offline: readonly ReplicaId[];
}

export type ElectionContext = Pick<SettleContext, "controllerEpoch" | "selection" | "draw" | "guards">;

/**
 * Begins a broker's session (D8), in this order: the old session goes, then partitions change, then the new session
 * stands. A crash in between leaves partitions whose leader has no session; the next controller's walk finds them, and
 * the broker, which got no answer, registers again.
 *
 * - An id that a living session holds is refused, unless a directory is common to both: each is locked by its process,
 *   so the old process is dead.
 * - The broker epoch is one more than any that this id ever had.
 * - What the broker led is decided anew with a higher leader epoch, the broker itself being elected only where nobody
 *   else can be. It stays in each ISR in which it stood: a crash alone loses nothing that was flushed. It leaves those
 *   whose directory it did not bring, for the ELR where R13 allows.
 * - Where such a directory is gone, replicas that nobody relies on get another one and are copied anew (`rehome.ts`).
 * - It leaves ISR and ELR where it says that its replica is damaged; and, where `flush=async` was in force, after a stop
 *   that was not clean on a machine that was booted since: what was not flushed may be gone.
 * - It leaves the ISR, and leads nothing, where it says that it cannot serve its replica (`offline.ts`).
 * - Partitions without a leader in whose ELR it stands get it as their leader.
 *
 * The answer is the broker epoch of the session.
 */
export function registerBroker(
  image: MetadataImage,
  command: RegisterBrokerCommand,
  context: ElectionContext,
): Decision<BrokerEpoch> {
  const problem = registrationProblem(image, command);
  if (problem !== undefined) return { kind: "refused", refusal: problem };
  const { brokerId, incarnationId, directoryIds, endpoints, rack } = command;
  const old = image.sessions.get(brokerId);
  const known = image.knownBrokers.get(brokerId);
  const epoch = brokerEpoch(Math.max(known?.brokerEpoch ?? 0, old?.brokerEpoch ?? 0) + 1);
  const session: BrokerSession = {
    brokerId,
    brokerEpoch: epoch,
    incarnationId,
    directoryIds,
    endpoints,
    rack,
    state: "running",
  };

  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  if (old !== undefined) {
    changes.push(removal({ kind: "brokerSession", brokerId }));
    events.push({ kind: "sessionEnded", brokerId, brokerEpoch: old.brokerEpoch, cause: "registration" });
  }
  const { image: after } = applyChanges(image, [putSession(session)]);
  const markDamage = markDamaged({ brokerId, brokerEpoch: epoch, damaged: command.damaged });
  const markNotServed = markOffline({ brokerId, brokerEpoch: epoch, offline: command.offline, served: [] });
  const markRegression = markRegressed({ brokerId, seen: command.regressed });
  const settled = settlePartitions(after, {
    ...context,
    cause: old === undefined ? "broker returned" : "registration",
    liveness: livenessOf(after.sessions),
    unseated: new Set([brokerId]),
    isLost: lossOf(command, known),
    mark: (partition) => markRegression(markNotServed(markDamage(partition))),
  });
  const moved = command.allDirectoriesWork
    ? rehomeReplicas(applyChanges(after, settled.changes).image, command, context.controllerEpoch)
    : [];
  const rehomed = moved.flatMap((change) => (change.kind === "partition" ? [change] : []));
  const given = enterCopiedAnew(after, brokerId, [...command.damaged, ...rehomed]);
  const { bootId, flushAsync } = command;
  changes.push(
    // Ahead of what is known by it: a registration that is cut short before finds the same again.
    ...given.changes,
    ...settled.changes,
    ...moved,
    // With the boot id only now: a registration that is cut short before finds the same losses again.
    putKnownBroker({
      brokerId,
      brokerEpoch: epoch,
      directoryIds: latestDirectories(known, directoryIds),
      bootId,
      flushAsync,
    }),
    putSession(session),
  );
  events.push({ kind: "brokerRegistered", brokerId, brokerEpoch: epoch }, ...settled.events, ...given.events);
  if (moved.length > 0) events.push({ kind: "replicasRehomed", brokerId, replicas: moved.length });
  return decided(epoch, changes, events);
}

/** Directories of which a broker is remembered, beside those that it has. A disk that is new at each start adds one each time. */
const rememberedMax = 100;

/** The latest last: what a broker has is behind what it had. */
function latestDirectories(known: KnownBroker | undefined, own: readonly DirectoryId[]): readonly DirectoryId[] {
  const former = (known?.directoryIds ?? []).filter((id) => !own.includes(id));
  return [...former.slice(-rememberedMax), ...own];
}

/**
 * Which replicas a power cut may have cut short (D8): those of the broker under `flush=async`, unless it stopped cleanly
 * at the end of its last broker epoch, or the machine has not been booted since.
 */
function lossOf(
  { brokerId, cleanStopBrokerEpoch, bootId }: RegisterBrokerCommand,
  known: KnownBroker | undefined,
): (topic: Topic, replica: Replica) => boolean {
  const isIntact =
    known === undefined || cleanStopBrokerEpoch === known.brokerEpoch || (bootId !== "" && bootId === known.bootId);
  if (isIntact) return () => false;
  return (topic, replica) => replica.brokerId === brokerId && mayHaveFlushedAsync(topic, known);
}

function registrationProblem(image: MetadataImage, command: RegisterBrokerCommand): Refusal | undefined {
  const because = (reason: Reason, message: string) => ({ reason, message });
  const { brokerId, clusterId, directoryIds, endpoints } = command;
  if (image.cluster === undefined) return because(Reason.NOT_ATTEMPTED, "The cluster is not set up yet");
  if (clusterId !== "" && clusterId !== image.cluster.clusterId) {
    const text = `Broker ${brokerId} belongs to the cluster ${clusterId}, and this is ${image.cluster.clusterId}`;
    return because(Reason.CLUSTER_ID_MISMATCH, text);
  }
  if (directoryIds.length === 0) return because(Reason.INVALID_ARGUMENT, "A broker has at least one log directory");
  if (new Set(directoryIds).size < directoryIds.length) {
    return because(Reason.INVALID_ARGUMENT, "A log directory is named twice");
  }
  if (endpoints.length === 0) return because(Reason.INVALID_ARGUMENT, "A broker has at least one endpoint");
  for (const session of image.sessions.values()) {
    const common = session.directoryIds.filter((id) => directoryIds.includes(id));
    if (session.brokerId !== brokerId && common.length > 0) {
      const text = `Broker ${session.brokerId} has registered the log directory ${common.join(", ")}`;
      return because(Reason.INVALID_ARGUMENT, text);
    }
    if (session.brokerId === brokerId && common.length === 0) {
      const text = `A living broker with other log directories has the id ${brokerId}`;
      return because(Reason.DUPLICATE_BROKER_ID, text);
    }
  }
  return undefined;
}

/** Checks that a session of this broker epoch lives. Undefined where it does. */
export function sessionProblem(
  image: MetadataImage,
  broker: { readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch },
): Extract<Decision<never>, { kind: "refused" }> | undefined {
  const session = image.sessions.get(broker.brokerId);
  if (session === undefined) return refused(Reason.BROKER_NOT_REGISTERED, `Broker ${broker.brokerId} has no session`);
  if (session.brokerEpoch === broker.brokerEpoch) return undefined;
  const text = `Broker ${broker.brokerId} is registered with broker epoch ${session.brokerEpoch}, not ${broker.brokerEpoch}`;
  return refused(Reason.STALE_BROKER_EPOCH, text);
}
