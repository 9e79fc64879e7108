import { type DescEnum, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { type Outcome, OutcomeSchema, type Reason, ReasonSchema } from "@tidemark/proto/common/v1";
import { readImage } from "../reflection/image.ts";
import { traitsOf } from "./reason-table.ts";

/** docs/errors.md: the table of reasons with the protos' own comments. `image` as in `readImage`. */
export function renderErrorTable(image = readImage()): string {
  const comments = commentsOf(ReasonSchema, image);
  const rows = ReasonSchema.values.map(({ name, number }) => {
    const { status: code, retriable, outcome } = traitsOf(number as Reason);
    const cells = [`\`${name}\``, status[code], retriable ? "yes" : "no", outcomeName(outcome), comments[number] ?? ""];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "# Errors",
    "",
    "Every failed call ends with a gRPC status and a `tidemark.common.v1.ErrorDetail` in its details",
    "(`grpc-status-details-bin`): the reason, what is known of the effect, and whether the same call may succeed later.",
    "Outcome and retriable stand here as they are unless the answer says otherwise: the answer knows better.",
    "",
    "An outcome speaks of one attempt. `NOT_APPLIED`: certainly without effect, now and later. `UNKNOWN`: it may have been",
    "applied, or may yet be. `APPLIED`: it was. Whoever retries reports `UNKNOWN` if any attempt was unknown and none was",
    "applied.",
    "",
    "A failure that gRPC itself reports (no connection, a deadline, a cancelled call) has no detail. The clients of this",
    "repository give it the closest reason, and `NOT_APPLIED` only where nothing of the request can have left the caller.",
    "",
    "| reason | gRPC status | retriable | outcome | cause, and what to do |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function outcomeName(outcome: Outcome): string {
  return OutcomeSchema.values.find(({ number }) => number === outcome)?.name.replace("OUTCOME_", "") ?? "";
}

/** What stands above each value in its file, by number, as one line. */
function commentsOf(schema: DescEnum, image: Uint8Array): Readonly<Record<number, string>> {
  const file = fromBinary(FileDescriptorSetSchema, image).file.find(({ name }) => name === schema.file.proto.name);
  const enumIndex = file?.enumType.findIndex(({ name }) => name === schema.name) ?? -1;
  const comments: Record<number, string> = {};
  // A path names field numbers of descriptor.proto: 5 = FileDescriptorProto.enum_type, 2 = EnumDescriptorProto.value.
  for (const { path, leadingComments } of file?.sourceCodeInfo?.location ?? []) {
    const [field, index, valueField, valueIndex, ...rest] = path;
    if (field !== 5 || index !== enumIndex || valueField !== 2 || valueIndex === undefined || rest.length > 0) continue;
    const value = file?.enumType[enumIndex]?.value[valueIndex];
    if (value !== undefined) comments[value.number] = leadingComments.trim().replaceAll(/\s+/g, " ");
  }
  return comments;
}
