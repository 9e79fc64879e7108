/**
 * The values that the store itself writes: proto3 JSON of the messages in `tidemark.metadata.v1`. Fields that a newer
 * version added are passed over.
 */
import { create, type DescMessage, fromJsonString, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { type ControllerEpoch, controllerEpoch, controllerId, directoryId } from "@tidemark/ids";
import {
  AppendRecordSchema,
  CandidateRecordSchema,
  ClusterRecordSchema,
  ControllerRecordSchema,
} from "@tidemark/proto/metadata/v1";
import { fromUtf8, utf8 } from "./bytes.ts";
import type { CandidateIdentity } from "./consensus.ts";

/** `/controller`: who leads. */
export interface ControllerValue extends CandidateIdentity {
  readonly kind: "leader";
  readonly epoch: ControllerEpoch;
}

/** `/controller` after a resignation. */
export interface ResignedValue {
  readonly kind: "resigned";
  readonly epoch: ControllerEpoch;
}

/** `/append`: the fence. A transaction names the whole value that it replaces. */
export interface AppendValue {
  readonly epoch: ControllerEpoch;
  /** Counts the batches of the epoch. 0 is the batch that began it. */
  readonly sequence: bigint;
  /** Random for each transaction: tells one's own from another's of the same sequence. */
  readonly attempt: string;
}

export function encodeController(value: ControllerValue | ResignedValue): Uint8Array {
  const record =
    value.kind === "resigned"
      ? create(ControllerRecordSchema, { controllerId: -1, controllerEpoch: value.epoch })
      : create(ControllerRecordSchema, {
          controllerId: value.controllerId,
          directoryId: value.directoryId,
          endpoint: value.endpoint,
          controllerEpoch: value.epoch,
        });
  return utf8(toJsonString(ControllerRecordSchema, record));
}

/** Undefined where the value does not parse (C12), as with every other function of this file that reads one. */
export function decodeController(value: Uint8Array): ControllerValue | ResignedValue | undefined {
  return decode(ControllerRecordSchema, value, (record) => {
    const epoch = controllerEpoch(record.controllerEpoch);
    if (record.controllerId === -1) return { kind: "resigned", epoch };
    return { kind: "leader", epoch, ...identityOf(record) };
  });
}

export function encodeCandidate(identity: CandidateIdentity): Uint8Array {
  const { controllerId, directoryId, endpoint } = identity;
  return utf8(
    toJsonString(CandidateRecordSchema, create(CandidateRecordSchema, { controllerId, directoryId, endpoint })),
  );
}

export function decodeCandidate(value: Uint8Array): CandidateIdentity | undefined {
  return decode(CandidateRecordSchema, value, identityOf);
}

export function encodeAppend(value: AppendValue): Uint8Array {
  const record = create(AppendRecordSchema, {
    controllerEpoch: value.epoch,
    sequence: value.sequence,
    attempt: value.attempt,
  });
  return utf8(toJsonString(AppendRecordSchema, record));
}

export function decodeAppend(value: Uint8Array): AppendValue | undefined {
  return decode(AppendRecordSchema, value, (record) => ({
    epoch: controllerEpoch(record.controllerEpoch),
    sequence: record.sequence,
    attempt: record.attempt,
  }));
}

/** `/controller_epoch` holds a bare number. */
export function encodeControllerEpoch(epoch: ControllerEpoch): Uint8Array {
  return utf8(String(epoch));
}

export function decodeControllerEpoch(value: Uint8Array): ControllerEpoch | undefined {
  return attempt(() => {
    const text = fromUtf8(value);
    return /^[0-9]+$/.test(text) ? controllerEpoch(Number(text)) : undefined;
  });
}

/** Whether `/cluster` says that the store was exported. A value that does not parse says nothing. */
export function isSealed(value: Uint8Array | undefined): boolean {
  return value !== undefined && decode(ClusterRecordSchema, value, (record) => record.sealed) === true;
}

/** `/cluster` with the seal put on or taken off. What a newer version put there stays. Undefined: it does not parse. */
export function withSeal(value: Uint8Array, sealed: boolean): Uint8Array | undefined {
  if (decode(ClusterRecordSchema, value, () => true) === undefined) return undefined;
  const fields = Object.entries(JSON.parse(fromUtf8(value)) as Record<string, unknown>);
  const others = Object.fromEntries(fields.filter(([name]) => name !== "sealed"));
  return utf8(JSON.stringify(sealed ? { ...others, sealed } : others));
}

function identityOf(record: {
  readonly controllerId: number;
  readonly directoryId: string;
  readonly endpoint: string;
}): CandidateIdentity {
  return {
    controllerId: controllerId(record.controllerId),
    directoryId: directoryId(record.directoryId),
    endpoint: record.endpoint,
  };
}

function decode<Schema extends DescMessage, Value>(
  schema: Schema,
  bytes: Uint8Array,
  read: (record: MessageShape<Schema>) => Value,
): Value | undefined {
  return attempt(() => read(fromJsonString(schema, fromUtf8(bytes), { ignoreUnknownFields: true })));
}

/** Whatever a decoder throws, it is the value that is at fault. */
function attempt<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
