import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ActiveController, MetadataVersion } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId, ControllerEpoch, Revision, TopicId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import type { ReportedTruncation, SeenState } from "@tidemark/metadata";
import { ClusterService, type HeartbeatRequestSchema, type RegressedReplicaSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { createRpcClient, openRawStream, TidemarkError } from "@tidemark/rpc";
import { abortWith, createDeferred, type Deferred, type Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";

/** What a broker tells of itself when it registers, as long as its process lives. */
export interface BrokerIdentity {
  readonly brokerId: BrokerId;
  readonly incarnationId: string;
  readonly clusterId: string;
  readonly endpoints: readonly { readonly listener: string; readonly host: string; readonly port: number }[];
  readonly rack: string;
  /** Empty: not known. */
  readonly bootId: string;
  /** Whether records of topics that do not say otherwise count before they are flushed. */
  readonly flushAsync: boolean;
  /** The broker epoch under which it stopped cleanly. Told once: at the first registration. */
  readonly cleanStopBrokerEpoch: BrokerEpoch | undefined;
}

/** What a broker tells of its state, at each registration and heartbeat. */
export interface BrokerCondition {
  readonly appliedRevision: Revision;
  /** The highest controller epoch known. */
  readonly controllerEpoch: ControllerEpoch;
  /** Log directories that work. */
  readonly directoryIds: readonly string[];
  readonly failedDirectoryIds: readonly string[];
  /** Whether every log directory that is configured works. */
  readonly allDirectoriesWork: boolean;
  readonly confirmedDeletions: readonly TopicId[];
  readonly damagedReplicas: readonly ReplicaId[];
  readonly truncations: readonly ReportedTruncation[];
  /** What replicas have seen that the metadata do not know. */
  readonly regressedReplicas: readonly SeenState[];
  /** Not served though their directory works. */
  readonly offlineReplicas: readonly ReplicaId[];
}

/** A session that began, and where that stands in the metadata. */
export interface Registration extends MetadataVersion {
  readonly brokerEpoch: BrokerEpoch;
}

export interface SessionOptions {
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly heartbeatIntervalMs: number;
  readonly identity: BrokerIdentity;
  readonly condition: () => BrokerCondition;
  /** The session began; metadata from before the revision are not to be acted upon. */
  readonly onRegistered: (registration: Registration) => void;
  /** The controller knows the session no longer, or it is given up: nothing is led any more. */
  readonly onLost: (why: string) => void;
  /** Something came from the active controller. */
  readonly onHeard: () => void;
  /** Whether topics that do not say allow unclean elections, by the active controller. Told with every answer. */
  readonly onUncleanDefault: (isAllowed: boolean) => void;
}

/** A broker's session with the controller. */
export interface BrokerSession {
  /** Undefined before the first registration. */
  readonly brokerEpoch: BrokerEpoch | undefined;
  /**
   * Registers, gives signs of life, and registers anew whenever the session was lost, until `signal` is aborted. Rejects
   * where this broker must not run: its id is taken, or it belongs to another cluster.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Ends the session and registers anew, with a newer broker epoch. Does nothing while that is under way. */
  renew(why: string): void;
  /** Asks to leave: resolves when the leaderships are moved and the broker may stop. Until then it goes on. */
  leave(): Promise<void>;
}

type StreamEnd =
  | { readonly kind: "closed"; readonly error: TidemarkError | undefined }
  | { readonly kind: "renew"; readonly why: string };

export function createBrokerSession(options: SessionOptions): BrokerSession {
  const { controller, runtime, logger } = options;
  let brokerEpoch: BrokerEpoch | undefined;
  let endStream: ((end: StreamEnd) => void) | undefined;
  /** Why the session in force is to be given up. It may be asked for while no stream is open. Undefined: it is not. */
  let renewal: string | undefined;
  let beatNow: (() => void) | undefined;
  let mayStop: Deferred<void> | undefined;

  /** One heartbeat stream, until it ends. Resolves with why. */
  const keepAlive = async (signal: AbortSignal, onAnswer: () => void): Promise<StreamEnd> => {
    const ended = createDeferred<StreamEnd>();
    let sequence = 0n;
    let cancelTimer: (() => void) | undefined;
    const over = new AbortController();
    const unbind = abortWith(over, signal, controller.superseded);
    const stream = openRawStream(
      controller.channel("control"),
      ClusterService.method.heartbeat,
      () => ({
        onMessage: ({ mayShutDown, uncleanLeaderElection }) => {
          options.onHeard();
          options.onUncleanDefault(uncleanLeaderElection);
          onAnswer();
          if (mayShutDown) mayStop?.resolve();
        },
        onClose: (error) => {
          ended.resolve({ kind: "closed", error });
        },
      }),
      { signal: over.signal },
    );
    endStream = ended.resolve;
    const beat = () => {
      cancelTimer?.();
      stream.write(heartbeatOf(options, { brokerEpoch, sequence: sequence++, wantsShutdown: mayStop !== undefined }));
      cancelTimer = runtime.scheduler.after(options.heartbeatIntervalMs, beat);
    };
    beatNow = beat;
    beat();
    try {
      return await ended.promise;
    } finally {
      cancelTimer?.();
      unbind();
      endStream = undefined;
      beatNow = undefined;
      stream.end(cancelled());
    }
  };

  /** Resolves with why the session is over. */
  const live = async (signal: AbortSignal): Promise<string> => {
    const isOver = () => signal.aborted;
    for (let failures = 0; ; failures++) {
      if (renewal !== undefined) return renewal;
      const { endpoint } = controller;
      const end = await keepAlive(signal, () => {
        failures = 0;
      });
      if (isOver()) return "the broker stops";
      if (end.kind === "renew") return end.why;
      const { error } = end;
      if (error !== undefined) controller.learnFrom(error, endpoint);
      if (isSessionLost(error)) return error?.message ?? "";
      logger.debug("The heartbeat stream ended; opening it again", { why: error?.message ?? "" });
      await controller.pause(failures, signal).catch(() => undefined);
      if (isOver()) return "the broker stops";
    }
  };

  return {
    get brokerEpoch() {
      return brokerEpoch;
    },
    async run(signal) {
      const isOver = () => signal.aborted;
      while (!isOver()) {
        const registered = await register(options, brokerEpoch === undefined, signal);
        brokerEpoch = registered.brokerEpoch;
        renewal = undefined;
        options.onRegistered(registered);
        const why = await live(signal);
        if (isOver()) return;
        logger.warn("The session with the controller is over; registering anew", { why });
        options.onLost(why);
      }
    },
    renew(why) {
      renewal = why;
      endStream?.({ kind: "renew", why });
    },
    leave() {
      mayStop ??= createDeferred();
      beatNow?.();
      return mayStop.promise;
    },
  };
}

async function register(
  { controller, identity, condition, logger, onHeard }: SessionOptions,
  isFirst: boolean,
  signal: AbortSignal,
): Promise<Registration> {
  const { cleanStopBrokerEpoch, ...rest } = identity;
  const answer = await controller.call(
    (channel, until) => {
      const { directoryIds, allDirectoriesWork, controllerEpoch, ...trouble } = condition();
      return createRpcClient(ClusterService, channel).register(
        {
          ...rest,
          directoryIds: [...directoryIds],
          allDirectoriesWork,
          endpoints: [...identity.endpoints],
          controllerEpoch,
          damagedReplicas: [...trouble.damagedReplicas],
          regressedReplicas: trouble.regressedReplicas.map(seenToWire),
          offlineReplicas: [...trouble.offlineReplicas],
          ...(cleanStopBrokerEpoch === undefined || !isFirst ? {} : { cleanStopBrokerEpoch }),
        },
        { signal: until, timeoutMs: 5000 },
      );
    },
    { signal, trafficClass: "control", isRepeatable: true },
  );
  onHeard();
  logger.info("Registered with the controller", {
    brokerEpoch: answer.brokerEpoch,
    controllerEpoch: answer.controllerEpoch,
  });
  return {
    brokerEpoch: answer.brokerEpoch as BrokerEpoch,
    controllerEpoch: answer.controllerEpoch as ControllerEpoch,
    revision: answer.revision as Revision,
  };
}

function heartbeatOf(
  { identity, condition }: SessionOptions,
  of: { readonly brokerEpoch: BrokerEpoch | undefined; readonly sequence: bigint; readonly wantsShutdown: boolean },
): MessageInitShape<typeof HeartbeatRequestSchema> {
  const now = condition();
  return {
    brokerId: identity.brokerId,
    brokerEpoch: of.brokerEpoch ?? 0,
    sequence: of.sequence,
    appliedRevision: now.appliedRevision,
    failedDirectoryIds: [...now.failedDirectoryIds],
    confirmedDeletions: [...now.confirmedDeletions],
    wantsShutdown: of.wantsShutdown,
    damagedReplicas: [...now.damagedReplicas],
    truncations: [...now.truncations],
    regressedReplicas: now.regressedReplicas.map(seenToWire),
    offlineReplicas: [...now.offlineReplicas],
  };
}

function seenToWire({ partitionEpoch, ...seen }: SeenState): MessageInitShape<typeof RegressedReplicaSchema> {
  return partitionEpoch === undefined ? seen : { ...seen, partitionEpoch };
}

function isSessionLost(error: TidemarkError | undefined): boolean {
  return error?.reason === Reason.STALE_BROKER_EPOCH || error?.reason === Reason.BROKER_NOT_REGISTERED;
}

function cancelled(): TidemarkError {
  return new TidemarkError({ reason: Reason.CANCELLED, message: "The heartbeat stream is given up" });
}
