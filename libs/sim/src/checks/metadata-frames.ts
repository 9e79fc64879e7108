import { BinaryReader } from "@bufbuild/protobuf/wire";
import { MetadataFrame, WatchMetadataResponseSchema } from "@tidemark/proto/cluster/v1";
import { MetadataChangeSchema } from "@tidemark/proto/metadata/v1";
import { hashBytes } from "../engine/trace-hash.ts";

/** One message of WatchMetadata, as far as it takes to tell whether two say the same. */
export interface FrameDigest {
  readonly controllerEpoch: number;
  readonly revision: bigint;
  readonly frame: MetadataFrame;
  readonly changes: readonly ChangeDigest[];
}

export interface ChangeDigest {
  readonly key: string;
  /** Of the key with its value, as they travel. Undefined: nothing stands there any more. */
  readonly hash: number | undefined;
}

const frameFields = WatchMetadataResponseSchema.field;
const changeFields = MetadataChangeSchema.field;

/** Reads the frame and leaves its records alone: decoding them for every process would cost more than the rest of a check. */
export function readFrame(bytes: Uint8Array): FrameDigest {
  const reader = new BinaryReader(bytes);
  const changes: ChangeDigest[] = [];
  let [controllerEpoch, revision] = [0, 0n];
  let frame: MetadataFrame = MetadataFrame.UNSPECIFIED;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === frameFields.controllerEpoch.number) controllerEpoch = reader.uint32();
    else if (field === frameFields.revision.number) revision = BigInt(reader.int64());
    else if (field === frameFields.frame.number) frame = reader.int32() as MetadataFrame;
    else if (field === frameFields.changes.number) changes.push(readChange(reader.bytes()));
    else reader.skip(wireType, field); // A field that newer processes have besides: nothing that is compared.
  }
  return { controllerEpoch, revision, frame, changes };
}

function readChange(bytes: Uint8Array): ChangeDigest {
  const reader = new BinaryReader(bytes);
  let key = "";
  let stands = false;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === changeFields.key.number) {
      key = reader.string();
      continue;
    }
    stands = field !== changeFields.removed.number;
    reader.skip(wireType, field); // The value, unread: it is compared by its bytes.
  }
  return { key, hash: stands ? hashBytes(bytes) : undefined };
}
