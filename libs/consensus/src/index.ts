export {
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
export { formatKey, isStoreKey, type MetadataKey, parseKey } from "./keys.ts";
export { appendLimits, limits } from "./limits.ts";
