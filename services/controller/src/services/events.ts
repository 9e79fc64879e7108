/** DescribeElections and WatchEvents of AdminService. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  describeReceipt,
  type ElectionCause,
  type ElectionEvent,
  type ElectionRule,
  type IsrEvent,
} from "@tidemark/metadata";
import {
  ElectionCause as CauseNumber,
  type DescribeElectionsRequest,
  type DescribeElectionsResponseSchema,
  type Election,
  ElectionSchema,
  type IsrChange,
  IsrChangeSchema,
  ElectionRule as RuleNumber,
  type SessionChange,
  SessionChangeKind,
  SessionChangeSchema,
  type WatchEventsRequest,
  type WatchEventsResponseSchema,
} from "@tidemark/proto/admin/v1";
import { abortWith } from "@tidemark/runtime";
import type { ControllerCore } from "../core.ts";
import type { LoggedEvent, SessionEvent } from "../events/event-log.ts";
import { reasonOf } from "./signals.ts";

type At = Omit<LoggedEvent, "event">;
type Told = NonNullable<MessageInitShape<typeof WatchEventsResponseSchema>["event"]>;

const electionsDefault = 100;

/** The elections that this controller decided since it started, the newest first. */
export function describeElections(
  core: ControllerCore,
  request: DescribeElectionsRequest,
): MessageInitShape<typeof DescribeElectionsResponseSchema> {
  core.role.require();
  const limit = request.limit === 0 ? electionsDefault : request.limit;
  const logged = core.events.elections(({ topic }) => request.topic === "" || topic === request.topic, limit);
  return { elections: logged.map(({ event, ...at }) => electionOf(event, at)) };
}

/** Every event from now on, until this controller is not the active one any more: then the stream ends with the hint. */
export async function* watchEvents(
  core: ControllerCore,
  request: WatchEventsRequest,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof WatchEventsResponseSchema>> {
  const either = new AbortController();
  const unbind = abortWith(either, signal, core.role.require().signal);
  try {
    for await (const { event, ...at } of core.events.watch(either.signal)) {
      // Sessions belong to no topic: they are told to those who follow everything.
      const topic = "topic" in event ? event.topic : "";
      if (request.topic === "" || topic === request.topic) yield { event: toldOf(event, at) };
    }
  } finally {
    unbind();
  }
  throw reasonOf(either.signal);
}

function toldOf(event: LoggedEvent["event"], at: At): Told {
  switch (event.kind) {
    case "elected":
      return { case: "election", value: electionOf(event, at) };
    case "isrChanged":
      return { case: "isrChange", value: isrChangeOf(event, at) };
    case "receipt":
      return { case: "receipt", value: describeReceipt({ name: event.topic }, event.receipt) };
    case "brokerRegistered":
      return { case: "session", value: sessionChangeOf(event, SessionChangeKind.REGISTERED, at) };
    case "shutdownBegun":
      return { case: "session", value: sessionChangeOf(event, SessionChangeKind.STOPPING, at) };
    case "sessionEnded": {
      const value = sessionChangeOf(event, SessionChangeKind.ENDED, at);
      return { case: "session", value: { ...value, cause: causeNumber(event.cause) } };
    }
  }
}

function electionOf(event: ElectionEvent, at: At): Election {
  const { topic, partition, oldLeader, newLeader, leaderEpoch, isr, elr } = event;
  return create(ElectionSchema, {
    topic,
    partition,
    cause: causeNumber(event.cause),
    rule: ruleNumber(event.rule),
    leaderEpoch,
    isr: [...isr],
    elr: [...elr],
    revision: at.revision,
    time: timestampFromMs(at.wallMs),
    ...(oldLeader === undefined ? {} : { oldLeader }),
    ...(newLeader === undefined ? {} : { newLeader }),
  });
}

function isrChangeOf({ topic, partition, before, after, elr, partitionEpoch }: IsrEvent, at: At): IsrChange {
  return create(IsrChangeSchema, {
    topic,
    partition,
    partitionEpoch,
    before: [...before],
    after: [...after],
    elr: [...elr],
    revision: at.revision,
    time: timestampFromMs(at.wallMs),
  });
}

function sessionChangeOf({ brokerId, brokerEpoch }: SessionEvent, kind: SessionChangeKind, at: At): SessionChange {
  const { revision, wallMs } = at;
  return create(SessionChangeSchema, { brokerId, brokerEpoch, kind, revision, time: timestampFromMs(wallMs) });
}

function ruleNumber(rule: ElectionRule): RuleNumber {
  switch (rule) {
    case "created":
      return RuleNumber.CREATED;
    case "isr":
      return RuleNumber.ISR;
    case "elr":
      return RuleNumber.ELR;
    case "preferred":
      return RuleNumber.PREFERRED;
    case "unclean":
      return RuleNumber.UNCLEAN;
    case "none":
      return RuleNumber.NONE;
  }
}

function causeNumber(cause: ElectionCause): CauseNumber {
  switch (cause) {
    case "topic created":
      return CauseNumber.TOPIC_CREATED;
    case "connection lost":
      return CauseNumber.CONNECTION_LOST;
    case "session timeout":
      return CauseNumber.SESSION_TIMEOUT;
    case "shutdown":
      return CauseNumber.SHUTDOWN;
    case "registration":
      return CauseNumber.REGISTRATION;
    case "broker returned":
      return CauseNumber.BROKER_RETURNED;
    case "preferred":
      return CauseNumber.PREFERRED;
    case "unclean":
      return CauseNumber.UNCLEAN;
    case "reassignment":
      return CauseNumber.REASSIGNMENT;
    case "directory failed":
      return CauseNumber.DIRECTORY_FAILED;
    case "replica damaged":
      return CauseNumber.REPLICA_DAMAGED;
    case "replica offline":
      return CauseNumber.REPLICA_OFFLINE;
    case "metadata regressed":
      return CauseNumber.METADATA_REGRESSED;
  }
}
