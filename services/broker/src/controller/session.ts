import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ActiveController } from "@tidemark/controller-link";
import { backoffMs } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId, ControllerEpoch, Revision, TopicId } from "@tidemark/ids";
import { ClusterService, type HeartbeatRequestSchema } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { createRpcClient, openRawStream, type TidemarkError } from "@tidemark/rpc";
import { createDeferred, delay, type Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";

/** What a broker tells of itself when it registers. */
export interface Registration {
  readonly brokerId: BrokerId;
  readonly incarnationId: string;
  readonly clusterId: string;
  readonly directoryIds: readonly string[];
  readonly endpoints: readonly { readonly listener: string; readonly host: string; readonly port: number }[];
  readonly rack: string;
  /** The highest controller epoch known. */
  readonly controllerEpoch: () => ControllerEpoch;
  /** The broker epoch under which it stopped cleanly. */
  readonly cleanStopBrokerEpoch: BrokerEpoch | undefined;
}

export interface SessionOptions {
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly heartbeatIntervalMs: number;
  readonly registration: Registration;
  /** What each heartbeat carries along. */
  readonly progress: () => {
    readonly appliedRevision: Revision;
    readonly failedDirectoryIds: readonly string[];
    readonly confirmedDeletions: readonly TopicId[];
  };
}

/** A broker's session with the controller. */
export interface BrokerSession {
  /** Undefined before the first registration. */
  readonly brokerEpoch: BrokerEpoch | undefined;
  /** The broker acts only on metadata of this revision or later. Undefined before the first registration. */
  readonly registeredAt: Revision | undefined;
  /**
   * Registers, gives signs of life, and registers anew whenever the session was lost, until `signal` is aborted. Rejects
   * where this broker must not run: its id is taken, or it belongs to another cluster.
   */
  run(signal: AbortSignal, onRegistered: () => void): Promise<void>;
}

export function createBrokerSession(options: SessionOptions): BrokerSession {
  const { controller, runtime, logger, registration, heartbeatIntervalMs } = options;
  let brokerEpoch: BrokerEpoch | undefined;
  let registeredAt: Revision | undefined;

  const register = async (signal: AbortSignal): Promise<void> => {
    const answer = await controller.call(
      (channel) =>
        createRpcClient(ClusterService, channel).register(
          {
            ...registration,
            directoryIds: [...registration.directoryIds],
            endpoints: [...registration.endpoints],
            controllerEpoch: registration.controllerEpoch(),
            ...(registration.cleanStopBrokerEpoch === undefined
              ? {}
              : { cleanStopBrokerEpoch: registration.cleanStopBrokerEpoch }),
          },
          { signal, timeoutMs: 5000 },
        ),
      { signal, trafficClass: "control", isRepeatable: true },
    );
    brokerEpoch = answer.brokerEpoch as BrokerEpoch;
    registeredAt = answer.revision as Revision;
    logger.info("Registered with the controller", { brokerEpoch, controllerEpoch: answer.controllerEpoch });
  };

  /** One heartbeat stream, until it ends. Resolves with why. */
  const keepAlive = (signal: AbortSignal, onAnswer: () => void): Promise<TidemarkError | undefined> => {
    const ended = createDeferred<TidemarkError | undefined>();
    let sequence = 0n;
    let cancelTimer: (() => void) | undefined;
    const stream = openRawStream(
      controller.channel("control"),
      ClusterService.method.heartbeat,
      () => ({
        onMessage: onAnswer,
        onClose: (error) => {
          cancelTimer?.();
          ended.resolve(error);
        },
      }),
      { signal },
    );
    const beat = () => {
      const { appliedRevision, failedDirectoryIds, confirmedDeletions } = options.progress();
      const message: MessageInitShape<typeof HeartbeatRequestSchema> = {
        brokerId: registration.brokerId,
        brokerEpoch: brokerEpoch ?? 0,
        sequence: sequence++,
        appliedRevision,
        failedDirectoryIds: [...failedDirectoryIds],
        confirmedDeletions: [...confirmedDeletions],
      };
      stream.write(message);
      cancelTimer = runtime.scheduler.after(heartbeatIntervalMs, beat);
    };
    beat();
    return ended.promise;
  };

  return {
    get brokerEpoch() {
      return brokerEpoch;
    },
    get registeredAt() {
      return registeredAt;
    },
    async run(signal, onRegistered) {
      const isOver = () => signal.aborted;
      while (!isOver()) {
        await register(signal);
        onRegistered();
        for (let failures = 0; ; failures++) {
          const error = await keepAlive(signal, () => {
            failures = 0;
          });
          if (isOver()) return;
          if (error !== undefined) controller.learnFrom(error);
          if (isSessionLost(error)) {
            logger.warn("The session with the controller was lost; registering anew", { why: error?.message ?? "" });
            break;
          }
          logger.debug("The heartbeat stream ended; opening it again", { why: error?.message ?? "" });
          await delay(runtime.scheduler, backoffMs(failures, runtime.random), signal).catch(() => undefined);
        }
      }
    },
  };
}

function isSessionLost(error: TidemarkError | undefined): boolean {
  return error?.reason === Reason.STALE_BROKER_EPOCH || error?.reason === Reason.BROKER_NOT_REGISTERED;
}
