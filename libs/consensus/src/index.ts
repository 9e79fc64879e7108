export { type Append, type AppendFrontOptions, createAppendFront } from "./append-front.ts";
export { bytesOfBatch, faultOfBatch, faultOfKey } from "./batch.ts";
export { type CandidateOptions, createCandidate, type MemberRegister } from "./candidate/candidate.ts";
export type { CandidateStanding, ClaimRight, ElectedTerm } from "./candidate/claim-right.ts";
export { allCandidateGuards, type CandidateGuards } from "./candidate/guards.ts";
export type { Dial, Dialled, TakeoverSettings } from "./candidate/takeover.ts";
export {
  type AppendFailure,
  type AppendOutcome,
  type CandidateIdentity,
  type Change,
  type Consensus,
  ConsensusError,
  type ConsensusErrorCode,
  type Leadership,
  type Member,
  type MemberChange,
  type MemberChangeOutcome,
  type MemberRefusalReason,
  type RefusalReason,
  type WatchEvent,
} from "./consensus.ts";
export type { CandidateEvent, ConsensusEvent, EventSink, StoreEvent } from "./events.ts";
export { appendLimits, limits } from "./limits.ts";
export { StoreOpenError, type StoreOpenErrorCode } from "./single/errors.ts";
export { allGuards, type SingleGuards } from "./single/guards.ts";
export { openSingleStore, type SingleStore, type SingleStoreOptions } from "./single/open.ts";
export {
  type CommittedBatch,
  LinkLostError,
  type SessionHandlers,
  type StoreAnswer,
  type StoreChange,
  type StoredValue,
  type StoreFeed,
  type StoreLink,
  type StoreRequest,
  type StoreSession,
} from "./store/store-link.ts";
export { isStoreKey } from "./store-key.ts";
export { createConsensusTwin } from "./twin/twin.ts";
export { createWatchHub, type WatchHub } from "./watch-hub.ts";
export { type WatchBounds, watchBounds } from "./watcher.ts";
