import type { BrokerId } from "@tidemark/ids";
import type { TraceEvent } from "./trace.ts";

/** The line that people and scripts read. */
export function formatTrace(event: TraceEvent): string {
  switch (event.kind) {
    case "becameLeader":
      return `became leader leader-epoch=${event.leaderEpoch} epoch-start=${event.epochStart} high-watermark=${event.highWatermark}`;
    case "becameFollower":
      return `became follower of ${event.leader} leader-epoch=${event.leaderEpoch} log-end=${event.logEnd}`;
    case "leaderless":
      return `has no leader leader-epoch=${event.leaderEpoch}`;
    case "resigned":
      return `resigned reason=${quote(event.reason)}`;
    case "offline":
      return `offline reason=${quote(event.reason)}`;
    case "metadataRegressed":
      return `found the metadata regressed reason=${quote(event.reason)}`;
    case "staleMetadata":
      return `ignored metadata leader-epoch=${event.leaderEpoch} partition-epoch=${event.partitionEpoch}`;
    case "truncated":
      return `truncated ${event.from} -> ${event.to}${event.belowHighWatermark ? " below its high watermark" : ""}`;
    case "restarted":
      return `restarted ${event.from} -> ${event.at}`;
    case "fencedItself":
      return `fenced itself after ${event.silentMs} ms of silence`;
    case "servesAgain":
      return "serves again";
    default:
      return formatReplication(event);
  }
}

type RoleEvent =
  | "becameLeader"
  | "becameFollower"
  | "leaderless"
  | "resigned"
  | "offline"
  | "metadataRegressed"
  | "staleMetadata"
  | "truncated"
  | "restarted"
  | "fencedItself"
  | "servesAgain";

function formatReplication(event: Exclude<TraceEvent, { kind: RoleEvent }>): string {
  switch (event.kind) {
    case "appended":
      return `appended ${event.baseOffset}..${event.endOffset}`;
    case "appendRefused":
      return `had its append refused at ${event.from}`;
    case "fetched":
      return `fetched ${event.baseOffset}..${event.endOffset}`;
    case "flushed":
      return `flushed ${event.offset}`;
    case "flushIgnored":
      return `ignored flush of ${event.offset} from before a cut`;
    case "diverging":
      return `found ${event.replica} diverging at ${event.offset} last-epoch=${event.lastEpoch}: leader-epoch=${event.leaderEpoch} ends at ${event.endOffset}`;
    case "responseDropped":
      return `dropped response of ${event.from}: ${event.why}`;
    case "fetchRefused":
      return `refused fetch of ${event.replica}: ${event.reason}`;
    case "highWatermark":
      return `high watermark ${event.from} -> ${event.to} last=${event.last}`;
    case "settled":
      return `settled high-watermark=${event.highWatermark}`;
    case "positionLost":
      return `found loss at ${event.replica}: had ${event.counted}, has ${event.reported}`;
    case "repeated":
      return `was sent ${event.baseOffset}..${event.endOffset} again`;
    case "acked":
      return `acked ${event.baseOffset}..${event.endOffset}`;
    case "produceRefused":
      return `refused produce: ${event.reason}`;
    case "produceUnknown":
      return `unknown ${event.baseOffset}..${event.endOffset}: ${event.reason}`;
    default:
      return formatProposal(event);
  }
}

type ProposalEvent = Extract<
  TraceEvent,
  { kind: "isrProposed" | "proposalSettled" | "proposalUnsettled" | "isrCommitted" }
>;

function formatProposal(event: ProposalEvent): string {
  switch (event.kind) {
    case "isrProposed": {
      const change = `proposes isr ${members(event.from)} -> ${members(event.to)}`;
      const why = event.again ? "again" : `reason=${quote(event.reason)}`;
      return `${change} ${why} partition-epoch=${event.partitionEpoch}`;
    }
    case "proposalSettled":
      return `proposal not applied: ${event.reason}`;
    case "proposalUnsettled":
      return `proposal stays open: ${event.reason}`;
    case "isrCommitted": {
      const elr = event.elr.length > 0 ? ` elr ${members(event.elr)}` : "";
      return `isr ${members(event.isr)}${elr} min-isr=${event.minIsr} partition-epoch=${event.partitionEpoch}`;
    }
  }
}

function members(replicas: readonly BrokerId[]): string {
  return `(${replicas.join(",")})`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
