export { formatAddress, type MemberAddress, parseAddress } from "./node/address.ts";
export type { HandoverCause, LeaseEnd, NodeEvent, NodeEventSink } from "./node/events.ts";
export type { RaftNode } from "./node/node.ts";
export { defaultSnapshotPolicy, type SnapshotPolicy } from "./node/snapshots.ts";
export { defaultTiming, type NodeTiming } from "./node/timing.ts";
export type { Peer, SubmitAnswer, Transport, TransportHandlers } from "./node/transport.ts";
export { openRaftStore, type RaftStore, type RaftStoreOptions } from "./open.ts";
export { RaftOpenError, type RaftOpenErrorCode } from "./storage/errors.ts";
export { type FormatOptions, formatDirectory } from "./storage/format.ts";
