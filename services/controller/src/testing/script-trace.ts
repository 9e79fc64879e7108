/** What controllers tell, a line for each event, as scripts show it. */
import type { MetadataEvent } from "@tidemark/metadata";
import type { ControllerEvent } from "../events/controller-events.ts";

/** Partitions that share their fate are told one by one up to so many. */
const singlyMax = 3;

/** Undefined for what a script does not show. */
export function linesOf(event: ControllerEvent): readonly string[] {
  switch (event.kind) {
    case "activated":
      return [`active in controller epoch ${event.epoch}`];
    case "deactivated":
      return [`active no more: ${event.why}`];
    case "sessionOver":
      return [`broker ${event.brokerId} found gone: ${event.cause}`];
    case "probed":
      return [`port of broker ${event.brokerId} ${event.result}: ${event.verdict}`];
    case "stalled":
      return ["stalled, observes anew"];
    case "commandFailed":
      return [`${event.command} failed: ${event.reason}`];
    case "regressed":
      return [`regressed: broker ${event.brokerId} saw controller epoch ${event.brokerSaw}`];
    case "decided":
      return told(event.events).map((line) => `${event.command}: ${line}`);
    default:
      return [];
  }
}

function told(events: readonly MetadataEvent[]): readonly string[] {
  const lines: string[] = [];
  const kinds = Map.groupBy(events, ({ kind }) => kind);
  for (const [kind, all] of kinds) {
    if (all.length > singlyMax) lines.push(`${kind} of ${all.length} partitions`);
    else lines.push(...all.map(lineOf));
  }
  return lines;
}

function lineOf(event: MetadataEvent): string {
  switch (event.kind) {
    case "brokerRegistered":
      return `broker ${event.brokerId} registered with broker epoch ${event.brokerEpoch}`;
    case "sessionEnded":
      return `session of broker ${event.brokerId} ended: ${event.cause}`;
    case "elected": {
      const { topic, partition, newLeader, leaderEpoch, isr, elr, rule, cause } = event;
      const who = newLeader === undefined ? "no leader" : `leader ${newLeader}`;
      return `${topic}-${partition} ${who} (${rule}, ${cause}) leader-epoch=${leaderEpoch} ${members(isr, elr)}`;
    }
    case "isrChanged": {
      const { topic, partition, before, after, elr, partitionEpoch } = event;
      return `${topic}-${partition} isr (${before.join(",")}) -> ${members(after, elr)} partition-epoch=${partitionEpoch}`;
    }
    case "topicCreated":
      return `topic ${event.topic} with ${event.partitions} partitions`;
    case "topicDeleted":
    case "topicConfigured":
      return `${event.kind} ${event.topic}`;
    case "orphansSwept":
      return `swept ${event.partitions} partitions`;
    default:
      return event.kind;
  }
}

export function members(isr: readonly number[], elr: readonly number[]): string {
  return `isr=(${isr.join(",")}) elr=(${elr.join(",")})`;
}
