import {
  type Election,
  ElectionCause,
  ElectionRule,
  type IsrChange,
  type Receipt,
  type SessionChange,
  SessionChangeKind,
  type WatchEventsResponse,
} from "@tidemark/client";
import { timeOf, wordOf } from "../words.ts";

/** An event as one line for people; undefined for a kind that this version does not know. */
export function eventLine({ event }: Pick<WatchEventsResponse, "event">): string | undefined {
  switch (event.case) {
    case "election":
      return electionLine(event.value);
    case "isrChange":
      return isrLine(event.value);
    case "receipt":
      return receiptLine(event.value);
    case "session":
      return sessionLine(event.value);
    case undefined:
      return undefined;
  }
}

function electionLine(event: Election): string {
  const { topic, partition, oldLeader = "none", newLeader = "none", leaderEpoch, isr, elr } = event;
  const chosen = `by ${wordOf(ElectionRule, event.rule)}, because of ${wordOf(ElectionCause, event.cause)}`;
  return line(
    event.time,
    "election",
    `${topic}-${partition}: leader ${oldLeader} -> ${newLeader} ${chosen}; leader epoch ${leaderEpoch}, ISR ${list(isr)}, ELR ${list(elr)}`,
  );
}

function isrLine({ topic, partition, before, after, elr, time }: IsrChange): string {
  return line(time, "isr", `${topic}-${partition}: ISR ${list(before)} -> ${list(after)}, ELR ${list(elr)}`);
}

function receiptLine({ topic, partition, leader, leaderEpoch, cuts, awaited, commanded, time }: Receipt): string {
  const lost = cuts.map(({ brokerId, firstOffset, logEnd, copiedAnew }) =>
    copiedAnew
      ? `broker ${brokerId} had lost its log and copies it anew`
      : `broker ${brokerId} cut ${logEnd - firstOffset} from offset ${firstOffset}`,
  );
  const open = awaited.length === 0 ? [] : [`not reported yet by ${list(awaited)}`];
  const why = commanded ? "commanded" : "allowed by the topic";
  return line(
    time,
    "receipt",
    `${topic}-${partition}: unclean election of ${leader} (${why}), leader epoch ${leaderEpoch}; ${[...lost, ...open].join(", ") || "nothing cut"}`,
  );
}

function sessionLine({ brokerId, brokerEpoch, kind, cause, time }: SessionChange): string {
  const why = cause === ElectionCause.UNSPECIFIED ? "" : `, because of ${wordOf(ElectionCause, cause)}`;
  return line(
    time,
    "session",
    `broker ${brokerId} ${wordOf(SessionChangeKind, kind)}${why}; broker epoch ${brokerEpoch}`,
  );
}

function line(time: Parameters<typeof timeOf>[0], kind: string, text: string): string {
  return `${timeOf(time).padEnd(24)}  ${kind.padEnd(8)}  ${text}`;
}

function list(brokers: readonly number[]): string {
  return brokers.length === 0 ? "none" : brokers.join(",");
}

/** The same for programs. */
export function eventJson({ event }: Pick<WatchEventsResponse, "event">): object | undefined {
  switch (event.case) {
    case "election": {
      const { topic, partition, oldLeader = null, newLeader = null, leaderEpoch, isr, elr, revision } = event.value;
      const cause = wordOf(ElectionCause, event.value.cause);
      const rule = wordOf(ElectionRule, event.value.rule);
      const time = timeOf(event.value.time);
      return {
        event: "election",
        time,
        topic,
        partition,
        cause,
        rule,
        oldLeader,
        newLeader,
        leaderEpoch,
        isr,
        elr,
        revision,
      };
    }
    case "isrChange": {
      const { topic, partition, before, after, elr, partitionEpoch, revision } = event.value;
      const time = timeOf(event.value.time);
      return { event: "isr", time, topic, partition, before, after, elr, partitionEpoch, revision };
    }
    case "receipt": {
      const { topic, partition, leader, leaderEpoch, commanded, awaited } = event.value;
      const cuts = event.value.cuts.map(({ brokerId, firstOffset, logEnd, copiedAnew }) => ({
        broker: brokerId,
        firstOffset,
        logEnd,
        copiedAnew,
      }));
      const time = timeOf(event.value.time);
      return { event: "receipt", time, topic, partition, leader, leaderEpoch, commanded, cuts, awaited };
    }
    case "session": {
      const { brokerId, brokerEpoch, revision } = event.value;
      const kind = wordOf(SessionChangeKind, event.value.kind);
      const { cause } = event.value;
      const why = cause === ElectionCause.UNSPECIFIED ? null : wordOf(ElectionCause, cause);
      return {
        event: "session",
        time: timeOf(event.value.time),
        broker: brokerId,
        brokerEpoch,
        kind,
        cause: why,
        revision,
      };
    }
    case undefined:
      return undefined;
  }
}
