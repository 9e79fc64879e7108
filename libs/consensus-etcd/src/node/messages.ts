/** etcd's messages as the `etcd3` package has them, to and from our own types. */
import {
  CompareResult,
  CompareTarget,
  type ICompare,
  type IEvent,
  type IKeyValue,
  type IRangeRequest,
  type IRequestOp,
  type IResponseHeader,
  type IResponseOp,
  type ITxnRequest,
  type IWatchResponse,
} from "etcd3";
import type {
  EtcdChange,
  EtcdCompare,
  EtcdKey,
  EtcdKeyValue,
  EtcdOperation,
  EtcdRange,
  RangeRequest,
  TxnRequest,
  WatchResponse,
} from "../stubs.ts";

export function keyBytes(key: EtcdKey): Buffer {
  return Buffer.from(key, "latin1");
}

export function revisionOf(header: IResponseHeader): bigint {
  return BigInt(header.revision);
}

export function rangeRequestOf(request: RangeRequest): IRangeRequest {
  return {
    ...spanOf(request),
    ...(request.limit === undefined ? {} : { limit: request.limit }),
    ...(request.revision === undefined ? {} : { revision: String(request.revision) }),
  };
}

export function txnRequestOf({ compares, success }: TxnRequest): ITxnRequest {
  return { compare: compares.map(compareOf), success: success.map(operationOf), failure: [] };
}

export function keyValueOf(found: IKeyValue): EtcdKeyValue {
  return {
    key: found.key.toString("latin1"),
    value: found.value,
    createRevision: BigInt(found.create_revision),
    modRevision: BigInt(found.mod_revision),
    lease: found.lease,
  };
}

/** What a range of a transaction found. Nothing for any other operation. */
export function rangeOf(response: IResponseOp): readonly (readonly EtcdKeyValue[])[] {
  // Absent by the wire format, whatever the package's types say.
  const found = response.response_range as IResponseOp["response_range"] | null | undefined;
  return found === null || found === undefined ? [] : [found.kvs.map(keyValueOf)];
}

export function watchResponseOf(response: IWatchResponse): WatchResponse {
  return {
    revision: revisionOf(response.header),
    created: response.created,
    ...(response.canceled
      ? { canceled: { reason: response.cancel_reason, compactRevision: BigInt(response.compact_revision) } }
      : {}),
    fragment: response.fragment,
    events: response.events.map(eventOf),
  };
}

function eventOf({ type, kv }: IEvent): EtcdChange {
  // The package declares "Delete" and hands out "DELETE".
  if (type.toUpperCase() !== "DELETE") return { kind: "put", ...keyValueOf(kv) };
  return { kind: "delete", key: kv.key.toString("latin1"), modRevision: BigInt(kv.mod_revision) };
}

function spanOf({ key, rangeEnd }: EtcdRange): { readonly key: Buffer; readonly range_end?: Buffer } {
  return { key: keyBytes(key), ...(rangeEnd === undefined ? {} : { range_end: keyBytes(rangeEnd) }) };
}

function compareOf(compare: EtcdCompare): ICompare {
  const common = { key: keyBytes(compare.key), result: CompareResult.Equal };
  switch (compare.target) {
    case "value":
      return { ...common, target: CompareTarget.Value, value: Buffer.from(compare.value) };
    case "createRevision":
      return { ...common, target: CompareTarget.Create, create_revision: String(compare.revision) };
    case "modRevision":
      return { ...common, target: CompareTarget.Mod, mod_revision: String(compare.revision) };
  }
}

function operationOf(operation: EtcdOperation): IRequestOp {
  switch (operation.kind) {
    case "put": {
      const value = Buffer.from(operation.value);
      return { request_put: { key: keyBytes(operation.key), value, lease: operation.lease } };
    }
    case "delete":
      return { request_delete_range: { key: keyBytes(operation.key) } };
    case "range":
      return { request_range: spanOf(operation) };
  }
}
