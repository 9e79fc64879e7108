import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import type { status } from "@grpc/grpc-js";
import { type ErrorDetail, ErrorDetailSchema, ReasonSchema } from "@tidemark/proto/common/v1";
import { type ErrorFields, TidemarkError } from "./tidemark-error.ts";

/** The message that stands for an error, in a status and in the per-partition results of batch answers. */
export function toErrorDetail(error: TidemarkError): ErrorDetail {
  const { isr, retryAfterMs, ...fields } = error.fields;
  return create(ErrorDetailSchema, {
    ...fields,
    reason: error.reason,
    outcome: error.outcome,
    retriable: error.retriable,
    isr: isr === undefined ? [] : [...isr],
    ...(retryAfterMs === undefined ? {} : { retryAfter: durationOf(retryAfterMs) }),
  });
}

/**
 * The error that a detail stands for. `message` is the text beside it; empty becomes the reason's name. `grpcStatus` is
 * the status that it came with, where it came with one.
 */
export function fromErrorDetail(detail: ErrorDetail, message: string, grpcStatus?: status): TidemarkError {
  return new TidemarkError({
    reason: detail.reason,
    message: message === "" ? reasonName(detail.reason) : message,
    outcome: detail.outcome,
    retriable: detail.retriable,
    ...(grpcStatus !== undefined && { grpcStatus }),
    ...fieldsOf(detail),
  });
}

/** REASON_NOT_LEADER and so on; REASON_ and the number for one that this version does not know. */
export function reasonName(reason: number): string {
  const value = ReasonSchema.values.find(({ number }) => number === reason);
  return value === undefined ? `REASON_${reason}` : value.name;
}

function fieldsOf(detail: ErrorDetail): ErrorFields {
  const { leader, controller, divergence, highWatermark, minIsr, logStart, logEnd, partition, baseOffset } = detail;
  return {
    ...(leader && { leader: pickLeader(leader) }),
    ...(controller && {
      controller: { id: controller.id, endpoint: controller.endpoint, controllerEpoch: controller.controllerEpoch },
    }),
    ...(divergence && { divergence: { leaderEpoch: divergence.leaderEpoch, offset: divergence.offset } }),
    ...(highWatermark !== undefined && { highWatermark }),
    ...(detail.isr.length > 0 && { isr: detail.isr }),
    ...(minIsr !== undefined && { minIsr }),
    ...(logStart !== undefined && { logStart }),
    ...(logEnd !== undefined && { logEnd }),
    ...(detail.retryAfter && { retryAfterMs: millisecondsOf(detail.retryAfter) }),
    ...(detail.topic !== "" && { topic: detail.topic }),
    ...(partition !== undefined && { partition }),
    ...(baseOffset !== undefined && { baseOffset }),
  };
}

function pickLeader(leader: NonNullable<ErrorDetail["leader"]>): NonNullable<ErrorFields["leader"]> {
  return { broker: leader.broker, endpoint: leader.endpoint, leaderEpoch: leader.leaderEpoch };
}

export function durationOf(milliseconds: number): Duration {
  const whole = Math.floor(milliseconds / 1000);
  return create(DurationSchema, {
    seconds: BigInt(whole),
    nanos: Math.round((milliseconds - whole * 1000) * 1_000_000),
  });
}

function millisecondsOf(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
