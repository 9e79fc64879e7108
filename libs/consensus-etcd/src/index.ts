export type { ConnectionPurpose, EtcdEvent, EtcdEventSink } from "./events.ts";
export { allEtcdGuards, type EtcdGuards } from "./guards.ts";
export { createEtcdLink, type EtcdLink, type EtcdLinkOptions } from "./link.ts";
export { type Etcd3Options, etcdMembers } from "./node/etcd3-stubs.ts";
export { tcpDial } from "./node/tcp-dial.ts";
export { EtcdOpenError, type EtcdOpenErrorCode, type EtcdStore, type EtcdStoreOptions, openEtcdStore } from "./open.ts";
export type { EtcdSettings } from "./settings.ts";
export {
  type EtcdChange,
  EtcdError,
  type EtcdErrorCode,
  type EtcdMembers,
  type EtcdStubs,
  type LeaseGrant,
  type LeaseId,
  type RangeRequest,
  type RangeResponse,
  type StreamHandlers,
  type TxnRequest,
  type TxnResponse,
  type WatchRequest,
} from "./stubs.ts";
