/** ElectLeaders, DescribeElections and WatchEvents of AdminService. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ElectionCause,
  type ElectionEvent,
  electPreferred,
  type PreferredElectionResult,
} from "@tidemark/metadata";
import {
  ElectionCause as CauseNumber,
  type DescribeElectionsRequest,
  type DescribeElectionsResponseSchema,
  type Election,
  type ElectionResultSchema,
  ElectionSchema,
  ElectionType,
  type ElectLeadersRequest,
  type ElectLeadersResponseSchema,
  type WatchEventsRequest,
  type WatchEventsResponseSchema,
} from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { refusalError } from "../errors.ts";
import type { LoggedEvent } from "../events/event-log.ts";
import { readPartition } from "./requests.ts";
import { reasonOf } from "./signals.ts";

const electionsDefault = 100;

export async function elect(
  core: ControllerCore,
  request: ElectLeadersRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ElectLeadersResponseSchema>> {
  if (request.type === ElectionType.UNCLEAN) {
    throw new TidemarkError({ reason: Reason.UNSUPPORTED, message: "Unclean elections are not offered yet" });
  }
  const command = {
    name: request.topic === "" ? undefined : request.topic,
    partitions: request.partitions.length === 0 ? undefined : request.partitions.map(readPartition),
  };
  const { answer } = await core.queue.submit(
    {
      name: "elect preferred leaders",
      decide: (image, controllerEpoch) => electPreferred(image, command, { controllerEpoch }),
    },
    signal,
  );
  return { results: answer.map(electionResult) };
}

function electionResult(result: PreferredElectionResult): MessageInitShape<typeof ElectionResultSchema> {
  const { topic, partition, state, refusal } = result;
  const leader = state?.leader;
  return {
    topic: topic.name,
    partition,
    leaderEpoch: state?.leaderEpoch ?? 0,
    ...(leader === undefined ? {} : { leader }),
    ...(refusal === undefined ? {} : { error: toErrorDetail(refusalError(refusal)), message: refusal.message }),
  };
}

/** The elections that this controller decided since it started, the newest first. */
export function describeElections(
  core: ControllerCore,
  request: DescribeElectionsRequest,
): MessageInitShape<typeof DescribeElectionsResponseSchema> {
  core.role.require();
  const limit = request.limit === 0 ? electionsDefault : request.limit;
  const logged = core.events.elections(({ topic }) => request.topic === "" || topic === request.topic, limit);
  return {
    elections: logged.flatMap(({ event, ...rest }) => (event.kind === "elected" ? [electionOf(event, rest)] : [])),
  };
}

export async function* watchEvents(
  core: ControllerCore,
  request: WatchEventsRequest,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof WatchEventsResponseSchema>> {
  const either = AbortSignal.any([signal, core.role.require().signal]);
  for await (const { event, ...rest } of core.events.watch(either)) {
    if (request.topic !== "" && event.topic !== request.topic) continue;
    if (event.kind === "elected") {
      yield { event: { case: "election", value: electionOf(event, rest) } };
      continue;
    }
    const { topic, partition, before, after } = event;
    const value = { topic, partition, before: [...before], after: [...after], revision: rest.revision };
    yield { event: { case: "isrChange", value } };
  }
  throw reasonOf(either);
}

function electionOf(event: ElectionEvent, at: Omit<LoggedEvent, "event">): Election {
  const { topic, partition, oldLeader, newLeader, leaderEpoch, isr, elr } = event;
  return create(ElectionSchema, {
    topic,
    partition,
    cause: causeNumber(event.cause),
    leaderEpoch,
    isr: [...isr],
    elr: [...elr],
    revision: at.revision,
    time: timestampFromMs(at.wallMs),
    ...(oldLeader === undefined ? {} : { oldLeader }),
    ...(newLeader === undefined ? {} : { newLeader }),
  });
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
  }
}
