/** From what happens in a node to log lines and spans: the only place that makes them of it. */
import type { Membership, NodeId } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import type { Logger, Telemetry, TraceContext } from "@tidemark/telemetry";
import type { NodeEvent, NodeEventSink } from "../node/events.ts";
import { createRaftTraces, type WonCampaign } from "./traces.ts";

export interface ReporterOptions {
  readonly telemetry: Pick<Telemetry, "logger" | "tracer">;
  readonly clock: Clock;
  /** This node, and where it is reached, id@host:port. */
  readonly id: NodeId;
  readonly address: () => string;
  /** What is being committed for an election: the spans of its entries hang there, and are recorded always. */
  readonly parent: () => TraceContext | undefined;
  /** What a loss of the leadership comes in between: the same, or the election of the controller that leads by it. */
  readonly underWay: () => TraceContext | undefined;
  /** Takes the campaign that this node won: whoever tells what came of it tells it too. */
  readonly onWon: (campaign: WonCampaign) => void;
}

/** Returns what to call with each event. */
export function createRaftReporter(options: ReporterOptions): NodeEventSink {
  const { tracer } = options.telemetry;
  const traces = createRaftTraces({ ...options, tracer });
  const names = createNames();
  return (event) => {
    if (event.kind === "raft" && event.event.kind === "membershipChanged") names.learn(event.event.membership);
    logEvent(options, event, { names, trace: tracer.enabled ? traces.onEvent(event) : undefined });
  };
}

/** Members by their addresses, which people know better than ids. */
interface Names {
  learn(membership: Membership): void;
  of(id: NodeId): string;
  isMember(id: NodeId): boolean;
}

function createNames(): Names {
  const addresses = new Map<NodeId, string>();
  let members = new Set<NodeId>();
  return {
    learn({ voters, learners }) {
      const all = [...voters, ...learners];
      for (const { id, address } of all) addresses.set(id, address);
      members = new Set(all.map(({ id }) => id));
    },
    of: (id) => addresses.get(id) ?? id,
    isMember: (id) => members.has(id),
  };
}

/** `trace`: the span that was made of the event. */
function logEvent(
  { telemetry: { logger }, id, address, underWay }: ReporterOptions,
  event: NodeEvent,
  { names, trace }: { readonly names: Names; readonly trace: TraceContext | undefined },
): void {
  switch (event.kind) {
    case "opened":
      names.learn(event.membership);
      if (event.cutBytes > 0) logger.warn("cut off what a power cut left of a write", { bytes: event.cutBytes });
      return logger.info("member of the controllers' quorum", {
        directory: event.id,
        term: event.term,
        lastIndex: event.lastIndex,
      });
    case "leaseBegun":
      return logger.info("leads the controllers' quorum", { term: event.term });
    case "leaseEnded":
      return logger.info("leads the controllers' quorum no more", {
        term: event.term,
        why: event.cause,
        ...traceOf(underWay()),
      });
    case "stalled":
      return logger.warn("this process stalled; the other controllers are observed anew", {
        durationMs: event.ms,
        ...traceOf(underWay()),
      });
    case "handingOver":
      return logger.info("hands the leadership over", {
        to: names.of(event.to),
        why: event.cause,
        ...traceOf(underWay()),
      });
    case "peerRefused":
      return logger.warn("a controller's process is gone: its port refuses", { controller: names.of(event.peer) });
    case "noQuorum":
      return logNoQuorum(logger, event, { names, id, address: address() });
    case "storageFailed":
      return logger.error("the disk failed: this controller takes nothing more", {
        why: event.message,
        ...traceOf(underWay()),
      });
    case "snapshotSaved":
      return logger.debug("snapshot saved", {
        index: event.index,
        bytes: event.bytes,
        durationMs: event.ms,
        ...traceOf(trace),
      });
    case "snapshotLoaded":
      return logger.info("snapshot loaded", { index: event.index, bytes: event.bytes });
    case "raft":
      return logRaft(logger, event.event, names);
    case "written":
    case "sessionEnded":
      return;
  }
}

function traceOf(trace: TraceContext | undefined): { readonly trace?: TraceContext } {
  return trace === undefined ? {} : { trace };
}

function logRaft(logger: Logger, event: Extract<NodeEvent, { kind: "raft" }>["event"], names: Names): void {
  if (event.kind === "membershipChanged") {
    const { voters, learners } = event.membership;
    const list = (members: typeof voters) => members.map(({ address }) => address).join(",");
    logger.info("members of the controllers' quorum", { voters: list(voters), learners: list(learners) });
  }
  if (event.kind === "messageRefused" && event.reason === "blankVoter") {
    const message =
      "this directory is empty, and the quorum counts on the votes of one that was here: remove that member and add this one";
    logger.error(message, { leader: names.of(event.from) });
  }
}

/** Whoever is no member says how it becomes one; the others say whom they miss. */
function logNoQuorum(
  logger: Logger,
  { ms, silent }: Extract<NodeEvent, { kind: "noQuorum" }>,
  own: { readonly names: Names; readonly id: NodeId; readonly address: string },
): void {
  if (own.names.isMember(own.id)) {
    const missing = silent.map((peer) => own.names.of(peer)).join(", ");
    logger.warn("no quorum can be formed: start the controllers that are missing", { sinceMs: ms, missing });
    return;
  }
  logger.warn("this controller is no member of the quorum: add it", {
    command: `tidemark controller add-voter ${own.address}:${own.id}`,
  });
}
