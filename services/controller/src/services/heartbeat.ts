/**
 * A broker's heartbeat stream. Sent by brokers every `broker.heartbeat.interval.ms`; each message renews the session
 * and is answered with the controller epoch. It fails with NOT_CONTROLLER when this controller is not, or is no longer,
 * the active one, and with BROKER_NOT_REGISTERED or STALE_BROKER_EPOCH where the session is gone: the broker registers.
 *
 * A message renews as it comes. What it asks for beside may wait for the store; meanwhile the newest one is kept.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BrokerEpoch, BrokerId, TopicId } from "@tidemark/ids";
import {
  beginShutdown,
  confirmDeletions,
  failDirectories,
  isAwaitedTruncation,
  isNewDamage,
  isNewOffline,
  isNewRegression,
  lookup,
  receiptId,
  reportDamage,
  reportOffline,
  reportRegressed,
  reportTruncations,
  sessionProblem,
  weighSeen,
} from "@tidemark/metadata";
import type { HeartbeatRequest, HeartbeatResponseSchema } from "@tidemark/proto/cluster/v1";
import { abortWith } from "@tidemark/runtime";
import type { ActiveTerm } from "../commands/role.ts";
import { type ControllerCore, electionContext } from "../core.ts";
import { refusalError } from "../errors.ts";
import { readBroker, readDirectoryIds, readReplicaId, readSeenState, readTopicId, readTruncation } from "./requests.ts";
import { newestOf, untilAborted } from "./signals.ts";

interface Session {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
}

export async function* heartbeat(
  core: ControllerCore,
  requests: AsyncIterable<HeartbeatRequest>,
): AsyncGenerator<MessageInitShape<typeof HeartbeatResponseSchema>> {
  const term = core.role.require();
  const over = new AbortController();
  const unbind = abortWith(over, term.signal);
  const beats = newestOf(untilAborted(requests, over.signal), (request) => renew(core, readBroker(request)));
  let connection: { readonly session: Session; readonly close: () => void } | undefined;
  try {
    for await (const request of beats) {
      const session = readBroker(request);
      if (connection !== undefined && connection.session.brokerEpoch !== session.brokerEpoch) {
        connection.close();
        connection = undefined;
      }
      connection ??= { session, close: core.sessions.connect(session.brokerId, session.brokerEpoch) };
      const mayShutDown = await carryOut(core, term, session, request);
      const uncleanLeaderElection = core.settings.uncleanElection;
      yield { controllerEpoch: term.epoch, sequence: request.sequence, mayShutDown, uncleanLeaderElection };
    }
  } finally {
    unbind();
    over.abort();
    connection?.close();
  }
}

/** Renews the session, or throws why there is none. */
function renew(core: ControllerCore, session: Session): void {
  if (core.sessions.renew(session.brokerId, session.brokerEpoch)) return;
  const problem = sessionProblem(core.follower.image, session);
  if (problem !== undefined) throw refusalError(problem.refusal);
}

/** What a heartbeat asks for beside life. The answer is whether the broker may stop. */
async function carryOut(
  core: ControllerCore,
  term: ActiveTerm,
  session: Session,
  request: HeartbeatRequest,
): Promise<boolean> {
  const context = electionContext(core, term.epoch);
  const weighed = weighSeen(request.regressedReplicas.map(readSeenState));
  const damage = { ...session, damaged: [...request.damagedReplicas.map(readReplicaId), ...weighed.damaged] };
  if (isNewDamage(core.follower.image, damage)) {
    await core.queue.submit({ name: "report damage", decide: (image) => reportDamage(image, damage, context) });
  }
  const regression = { ...session, seen: weighed.seen };
  if (isNewRegression(core.follower.image, regression)) {
    await core.queue.submit({
      name: "report regressed metadata",
      decide: (image) => reportRegressed(image, regression, context),
    });
  }
  if (request.failedDirectoryIds.length > 0) {
    const command = { ...session, directoryIds: readDirectoryIds(request.failedDirectoryIds) };
    const known = core.follower.image.sessions.get(session.brokerId)?.directoryIds ?? [];
    if (command.directoryIds.some((id) => known.includes(id))) {
      await core.queue.submit({
        name: "fail directories",
        decide: (image) => failDirectories(image, command, context),
      });
    }
  }
  const reported = request.offlineReplicas.map(readReplicaId);
  const names = new Set(reported.map(receiptId));
  const served = core.offline.of(session).filter((replica) => !names.has(receiptId(replica)));
  const offline = { ...session, offline: reported, served };
  if (isNewOffline(core.follower.image, offline)) {
    await core.queue.submit({ name: "report offline", decide: (image) => reportOffline(image, offline, context) });
  }
  const truncations = request.truncations.map(readTruncation);
  if (truncations.some((each) => isAwaitedTruncation(core.follower.image, session.brokerId, each))) {
    const reported = { ...session, truncations };
    await core.queue.submit({ name: "report truncations", decide: (image) => reportTruncations(image, reported) });
  }
  const command = { brokerId: session.brokerId, topicIds: request.confirmedDeletions.map(readTopicId) };
  if (command.topicIds.some((id) => isAwaited(core, session.brokerId, id))) {
    await core.queue.submit({ name: "confirm deletions", decide: (image) => confirmDeletions(image, command) });
  }
  if (!request.wantsShutdown) return false;
  const { answer } = await core.queue.submit({
    name: "begin shutdown",
    decide: (image) => beginShutdown(image, session, context),
  });
  if (answer.mayStop) core.sessions.release(session.brokerId, session.brokerEpoch);
  renew(core, session);
  return answer.mayStop;
}

function isAwaited(core: ControllerCore, brokerId: BrokerId, topicId: TopicId): boolean {
  return lookup(core.follower.image.deletedTopics, topicId)?.awaited.includes(brokerId) ?? false;
}
