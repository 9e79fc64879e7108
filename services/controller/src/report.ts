/** From a controller's events to log lines and metrics. Spans are made from the same events. */
import type { BrokerId } from "@tidemark/ids";
import {
  describeHealth,
  type ElectionEvent,
  electionCauses,
  type MetadataEvent,
  type MetadataImage,
  type ReceiptEvent,
  type ReplicaCut,
} from "@tidemark/metadata";
import { type Logger, metricNames, type Telemetry, type TraceContext } from "@tidemark/telemetry";
import type { ControllerEvent } from "./events/controller-events.ts";
import { isAnew } from "./tracing/election-trace.ts";

/** What the metrics show of the controller when somebody reads them. */
export interface ReportedState {
  readonly isActive: () => boolean;
  readonly image: () => MetadataImage;
}

/** The spans that log lines belong to. Undefined where none is under way. */
export interface ReportedTraces {
  /** Of the election that is being told, or of one partition's part in it. */
  readonly election: (of?: ElectionEvent) => TraceContext | undefined;
  /** Of this controller's own election. */
  readonly controllerElection: () => TraceContext | undefined;
}

/** Returns what to call with each event: before the tracers are told of it that an election is decided. */
export function createReporter(
  telemetry: Pick<Telemetry, "logger" | "metrics">,
  state: ReportedState,
  traces: ReportedTraces,
): (event: ControllerEvent) => void {
  const { logger, metrics } = telemetry;
  const elections = metrics.counter({
    name: metricNames.leaderElections,
    description: "Partitions whose leadership was decided anew, also where nobody could have it.",
  });
  const unclean = metrics.counter({
    name: metricNames.uncleanLeaderElections,
    description: "Elections of leaders that were not eligible.",
  });
  const shrinks = metrics.counter({ name: metricNames.isrShrinks, description: "Replicas that left an ISR." });
  const expands = metrics.counter({ name: metricNames.isrExpands, description: "Replicas that joined an ISR." });
  // What never happened is told as 0: behind a series that begins with 1, nobody sees that it rose.
  for (const counter of [unclean, shrinks, expands]) counter.add(0);
  for (const cause of electionCauses) if (isAnew({ cause })) elections.add(0, { cause });
  observeState(metrics, state);

  const count = (event: MetadataEvent) => {
    if (event.kind === "elected" && isAnew(event)) elections.add(1, { cause: event.cause });
    if (event.kind === "elected" && event.rule === "unclean") unclean.add(1);
    if (event.kind !== "isrChanged") return;
    const left = without(event.before, event.after);
    const joined = without(event.after, event.before);
    if (left > 0) shrinks.add(left);
    if (joined > 0) expands.add(joined);
  };
  return (event) => {
    if (event.kind === "decided") event.events.forEach(count);
    logEvent(logger, event, traces);
  };
}

function observeState(metrics: Telemetry["metrics"], { isActive, image }: ReportedState): void {
  const gauge = (name: string, description: string, value: () => number) =>
    metrics.observeGauge({ name, description }, (report) => {
      // The counts are of the whole cluster: one controller tells them.
      if (name === metricNames.activeController || isActive()) report(value());
    });
  gauge(metricNames.activeController, "1 in the active controller, 0 in the others.", () => (isActive() ? 1 : 0));
  gauge(metricNames.offlinePartitions, "Partitions without a leader.", () => describeHealth(image()).offlinePartitions);
  gauge(
    metricNames.underReplicatedPartitions,
    "Partitions with fewer in-sync replicas than replicas.",
    () => describeHealth(image()).underReplicatedPartitions,
  );
  gauge(
    metricNames.underMinIsrPartitions,
    "Partitions with fewer in-sync replicas than the min ISR in force.",
    () => describeHealth(image()).underMinIsrPartitions,
  );
}

function without(some: readonly BrokerId[], others: readonly BrokerId[]): number {
  return some.filter((id) => !others.includes(id)).length;
}

function logEvent(logger: Logger, event: ControllerEvent, traces: ReportedTraces): void {
  switch (event.kind) {
    case "activated":
      return logger.info("active controller", {
        epoch: event.epoch,
        sessions: event.sessions,
        ...traceOf(traces.controllerElection()),
      });
    case "deactivated":
      return logger.info("active controller no more", {
        epoch: event.epoch,
        why: event.why,
        ...traceOf(traces.controllerElection()),
      });
    case "decided":
      for (const each of event.events) {
        logDecision(logger, each, traceOf(traces.election(each.kind === "elected" ? each : undefined)));
      }
      return;
    case "believed":
    case "tookUp":
    case "committing":
    case "batchCommitting":
    case "published":
      return;
    case "sessionOver":
      return logger.debug("broker session over", {
        broker: event.brokerId,
        cause: event.cause,
        silentMs: event.silentMs,
      });
    case "sessionBack":
      return logger.debug("broker heard again before its session was ended", { broker: event.brokerId });
    case "batchCommitted":
      return logger.debug("batch committed", {
        command: event.command,
        batch: event.batch,
        batches: event.batches,
        changes: event.changes,
        durationMs: event.durationMs,
        ...traceOf(traces.election()),
      });
    case "commandFailed":
      return logger.debug("command failed", {
        command: event.command,
        reason: event.reason,
        why: event.message,
        ...traceOf(traces.election()),
      });
    case "connectionLost":
      return logger.info("broker connection lost", { broker: event.brokerId });
    case "probed":
      return logger.info("broker probed", { broker: event.brokerId, result: event.result, verdict: event.verdict });
    case "stalled":
      return logger.warn("this process stalled; sessions are observed anew", { durationMs: event.durationMs });
    case "malformedKey":
      return logger.error("malformed metadata", { key: event.key, why: event.message });
    case "regressed":
      return logger.error("a broker has seen a newer controller epoch: the metadata are older than its data", {
        broker: event.brokerId,
        brokerSaw: event.brokerSaw,
        epoch: event.epoch,
      });
    case "defect":
      return logger.error("defect", { why: event.message });
  }
}

/** The span that a line belongs to, where there is one. */
type Traced = { readonly trace?: TraceContext };

function traceOf(trace: TraceContext | undefined): Traced {
  return trace === undefined ? {} : { trace };
}

/** What was decided together with an election belongs to it. */
function logDecision(logger: Logger, event: MetadataEvent, trace: Traced): void {
  switch (event.kind) {
    case "sessionEnded":
      return logger.info("broker session ended", {
        broker: event.brokerId,
        cause: event.cause,
        ...trace,
      });
    case "brokerRegistered":
      return logger.info("broker registered", { broker: event.brokerId, brokerEpoch: event.brokerEpoch, ...trace });
    case "elected":
      return logger.debug("leader elected", {
        topic: event.topic,
        partition: event.partition,
        cause: event.cause,
        rule: event.rule,
        leader: event.newLeader ?? -1,
        leaderEpoch: event.leaderEpoch,
        ...trace,
      });
    case "isrChanged":
      return logger.debug("ISR changed", {
        topic: event.topic,
        partition: event.partition,
        isr: event.after.join(","),
        ...trace,
      });
    case "topicCreated":
    case "topicDeleted":
    case "partitionsAdded":
    case "topicConfigured":
      return logger.info(eventTitles[event.kind], { topic: event.topic, topicId: event.topicId, ...trace });
    case "clusterCreated":
      return logger.info("cluster created", { cluster: event.clusterId });
    case "brokerUnregistered":
      return logger.info("broker unregistered", { broker: event.brokerId, ...trace });
    case "shutdownBegun":
      return logger.info("broker is about to stop", { broker: event.brokerId, ...trace });
    case "directoriesFailed":
      return logger.warn("log directories failed", {
        broker: event.brokerId,
        directories: event.directoryIds.join(","),
        ...trace,
      });
    case "replicasDamaged":
      return logger.warn("replicas damaged", { broker: event.brokerId, replicas: event.replicas, ...trace });
    case "replicasRehomed":
      return logger.warn("replicas are copied anew: their log directory is gone", {
        broker: event.brokerId,
        replicas: event.replicas,
        ...trace,
      });
    case "receipt":
      return logReceipt(logger, event, trace);
    case "orphansSwept":
      return logger.info("orphan partitions swept", { partitions: event.partitions });
  }
}

/** The whole of a receipt stands in the log (D3): which replicas answered how, what was cut where, whom it awaits. */
function logReceipt(logger: Logger, { topic, partition, receipt }: ReceiptEvent, trace: Traced): void {
  logger.warn(receipt.awaited.length > 0 ? "unclean election" : "unclean election, receipt complete", {
    topic,
    partition,
    leader: receipt.leader,
    leaderEpoch: receipt.leaderEpoch,
    commanded: receipt.commanded,
    positions: receipt.positions.map((each) => `${each.brokerId}:${each.lastLeaderEpoch}/${each.logEnd}`).join(","),
    cuts: receipt.cuts.map(cutText).join(","),
    awaited: receipt.awaited.join(","),
    ...trace,
  });
}

function cutText({ brokerId, firstOffset, logEnd, copiedAnew }: ReplicaCut): string {
  return copiedAnew === true ? `${brokerId}:copied anew` : `${brokerId}:${firstOffset}-${logEnd}`;
}

const eventTitles = {
  topicCreated: "topic created",
  topicDeleted: "topic deleted",
  partitionsAdded: "partitions added",
  topicConfigured: "topic configured",
} as const;
