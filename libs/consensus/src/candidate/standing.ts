/** What the store's keys mean to one candidate: pure answers. */
import type { ControllerEpoch } from "@tidemark/ids";
import type { CandidateIdentity, Leadership } from "../consensus.ts";
import type { Claim } from "./claim.ts";
import type { StoreKeys } from "./store-keys.ts";

/**
 * Whether `/controller` is free for this candidate. `overLeaders`: it was elected against whoever leads.
 *
 * | `/controller`                                   | free                                             |
 * |-------------------------------------------------|--------------------------------------------------|
 * | absent, or held by no living session            | yes                                              |
 * | does not parse, held                            | no: a newer version's value (C12)                |
 * | id -1                                           | yes                                              |
 * | names this candidate's own directory            | yes: a quick restart never waits for its ghost   |
 * | names another, held                             | only over leaders, or where its process is gone  |
 */
export function isFree(
  keys: StoreKeys,
  self: CandidateIdentity,
  { overLeaders, goneEpoch }: { readonly overLeaders: boolean; readonly goneEpoch: ControllerEpoch | undefined },
): boolean {
  const { value, held } = keys.controller();
  if (!held) return true;
  if (value === undefined) return false;
  if (overLeaders || value.kind === "resigned") return true;
  return value.directoryId === self.directoryId || value.epoch === goneEpoch;
}

/** Whether the keys still say that `claim` leads. Whoever claims after it writes `/controller`. */
export function holds(keys: StoreKeys, claim: Claim, self: CandidateIdentity): boolean {
  const { value, held } = keys.controller();
  if (!held || value?.kind !== "leader") return false;
  return value.epoch === claim.epoch && value.directoryId === self.directoryId;
}

/** Who leads, to a candidate that does not. */
export function leaderInSight(keys: StoreKeys, self: CandidateIdentity | undefined): Leadership {
  const { value, held } = keys.controller();
  if (!held || value?.kind !== "leader" || value.directoryId === self?.directoryId) return { kind: "none" };
  return { kind: "following", epoch: value.epoch, leader: value.controllerId, endpoint: value.endpoint };
}

/** Whether a living candidate other than `self` could lead. */
export function hasRival(keys: StoreKeys, self: CandidateIdentity): boolean {
  return keys.candidates().some(({ directoryId }) => directoryId !== self.directoryId);
}

export function sameLeadership(left: Leadership, right: Leadership): boolean {
  if (left.kind === "none" || right.kind === "none") return left.kind === right.kind;
  if (left.kind === "leading" || right.kind === "leading")
    return left.kind === right.kind && left.epoch === right.epoch;
  return left.epoch === right.epoch && left.leader === right.leader && left.endpoint === right.endpoint;
}
