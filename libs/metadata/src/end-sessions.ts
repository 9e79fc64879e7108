import type { BrokerEpoch, BrokerId, DirectoryId } from "@tidemark/ids";
import { applyChanges } from "./apply.ts";
import { putSession, removal } from "./change.ts";
import { type Damage, markDamaged } from "./damage.ts";
import { type Decision, decided } from "./decision.ts";
import type { ElectionCause, MetadataEvent, SessionEndCause } from "./events.ts";
import type { MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { BrokerSession } from "./model.ts";
import { enterCopiedAnew } from "./receipt-cuts.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { markRegressed, type Regression } from "./regressed.ts";
import { settlePartitions } from "./settle.ts";

/** One session that was found ended, and how. */
export interface EndedSession {
  readonly brokerId: BrokerId;
  /** A session of another broker epoch is left alone. */
  readonly brokerEpoch: BrokerEpoch;
  readonly cause: SessionEndCause;
}

/**
 * Ends sessions. Those that are ended together are decided together (D9): none of them is a candidate, and all leave an
 * ISR in one change, so that R13 keeps them. The sessions go first: a controller that dies in between leaves partitions
 * whose members have no session, which the next one's walk decides together again. The answer are the sessions ended.
 */
export function endSessions(
  image: MetadataImage,
  ended: readonly EndedSession[],
  context: ElectionContext,
): Decision<readonly BrokerSession[]> {
  const sessions: BrokerSession[] = [];
  const events: MetadataEvent[] = [];
  for (const { brokerId, brokerEpoch, cause } of ended) {
    const session = image.sessions.get(brokerId);
    if (session === undefined || session.brokerEpoch !== brokerEpoch || sessions.includes(session)) continue;
    sessions.push(session);
    events.push({ kind: "sessionEnded", brokerId, brokerEpoch, cause });
  }
  if (sessions.length === 0) return decided(sessions);
  const removals = sessions.map(({ brokerId }) => removal({ kind: "brokerSession", brokerId }));
  const { image: after } = applyChanges(image, removals);
  const cause = ended.find(({ brokerId }) => sessions.some((session) => session.brokerId === brokerId))?.cause;
  const settled = settle(after, cause ?? "session timeout", context);
  return decided(sessions, [...removals, ...settled.changes], [...events, ...settled.events]);
}

/**
 * Walks all partitions for leaders and ISR members that are gone, and for living ELR members of partitions without a
 * leader. A controller does this when it becomes the active one: its predecessor may have died between the end of a
 * session and its elections.
 */
export function repairPartitions(image: MetadataImage, context: ElectionContext): Decision<undefined> {
  const settled = settle(image, "session timeout", context);
  return decided(undefined, settled.changes, settled.events);
}

/** Takes failed log directories out of a session: their replicas leave ISRs and leaderships (L6). */
export function failDirectories(
  image: MetadataImage,
  command: {
    readonly brokerId: BrokerId;
    readonly brokerEpoch: BrokerEpoch;
    readonly directoryIds: readonly DirectoryId[];
  },
  context: ElectionContext,
): Decision<undefined> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const { brokerId } = command;
  const session = image.sessions.get(brokerId);
  const failed = session?.directoryIds.filter((id) => command.directoryIds.includes(id)) ?? [];
  if (session === undefined || failed.length === 0) return decided(undefined);
  const directoryIds = session.directoryIds.filter((id) => !failed.includes(id));
  // A broker without a directory can hold nothing: no new replica is placed there either.
  const put = putSession({ ...session, directoryIds, state: directoryIds.length === 0 ? "fenced" : session.state });
  const settled = settle(applyChanges(image, [put]).image, "directory failed", context);
  const event: MetadataEvent = { kind: "directoriesFailed", brokerId, directoryIds: failed };
  return decided(undefined, [put, ...settled.changes], [event, ...settled.events]);
}

/** Takes replicas that their broker found damaged out of ISR and ELR (L10). What is noted already changes nothing. */
export function reportDamage(image: MetadataImage, damage: Damage, context: ElectionContext): Decision<undefined> {
  const problem = sessionProblem(image, damage);
  if (problem !== undefined) return problem;
  const cause = "replica damaged";
  const mark = markDamaged(damage);
  const settled = settlePartitions(image, { ...context, cause, liveness: livenessOf(image.sessions), mark });
  if (settled.changes.length === 0) return decided(undefined);
  const { brokerId, damaged } = damage;
  const given = enterCopiedAnew(image, brokerId, damaged);
  const event: MetadataEvent = { kind: "replicasDamaged", brokerId, replicas: damaged.length };
  return decided(undefined, [...given.changes, ...settled.changes], [event, ...settled.events, ...given.events]);
}

/** Leaves partitions without a leader whose replicas have seen more than the metadata know of. */
export function reportRegressed(
  image: MetadataImage,
  regression: Regression,
  context: ElectionContext,
): Decision<undefined> {
  const problem = sessionProblem(image, regression);
  if (problem !== undefined) return problem;
  const cause = "metadata regressed";
  const mark = markRegressed(regression);
  const settled = settlePartitions(image, { ...context, cause, liveness: livenessOf(image.sessions), mark });
  return decided(undefined, settled.changes, settled.events);
}

function settle(image: MetadataImage, cause: ElectionCause, context: ElectionContext) {
  return settlePartitions(image, { ...context, cause, liveness: livenessOf(image.sessions) });
}
