import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { Outcome, Reason, ReasonSchema } from "@tidemark/proto/common/v1";
import { ErrorInfoSchema, RetryInfoSchema } from "@tidemark/proto/google/rpc/error_details";
import { StatusSchema } from "@tidemark/proto/google/rpc/status";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { ERROR_DOMAIN, fromGrpcStatus, STATUS_DETAILS_KEY, toGrpcStatus } from "./grpc-status.ts";
import { traitsOf } from "./reason-table.ts";
import { TidemarkError, withOutcome } from "./tidemark-error.ts";

const reasons = ReasonSchema.values.map(({ number }) => number as Reason);
const id = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const offset = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const fields = fc.record(
  {
    leader: fc.record({ broker: id, endpoint: fc.string(), leaderEpoch: id }),
    controller: fc.record({ id, endpoint: fc.string(), controllerEpoch: id }),
    highWatermark: offset,
    isr: fc.array(id, { minLength: 1 }),
    minIsr: id,
    logStart: offset,
    logEnd: offset,
    divergence: fc.record({ leaderEpoch: fc.nat(2 ** 31 - 1), offset }),
    retryAfterMs: fc.nat(100_000),
    topic: fc.string({ minLength: 1 }),
    partition: id,
    baseOffset: offset,
  },
  { requiredKeys: [] },
);

const foreign = (code: status, details: string) => ({ code, details, metadata: new Metadata() });

describe("an error on the wire", () => {
  it("comes back as it was, whatever its reason, outcome and fields", () => {
    const outcomes = fc.constantFrom(Outcome.NOT_APPLIED, Outcome.UNKNOWN, Outcome.APPLIED);
    fc.assert(
      fc.property(
        fc.constantFrom(...reasons),
        outcomes,
        fc.boolean(),
        fc.string({ minLength: 1, maxLength: 200 }),
        fields,
        (reason, outcome, retriable, message, given) => {
          const error = new TidemarkError({ reason, message, outcome, retriable, ...given });
          const back = fromGrpcStatus(toGrpcStatus(error));
          expect(back).toMatchObject({ reason, message, outcome, retriable, fields: given });
          expect(back.fields).toEqual(given);
        },
      ),
    );
  });

  it("also speaks Google's language, for tools that know no other", () => {
    const error = new TidemarkError({ reason: Reason.RESOURCE_EXHAUSTED, message: "Slow down.", retryAfterMs: 1500 });
    const [encoded] = toGrpcStatus(error).metadata.get(STATUS_DETAILS_KEY);
    const { code, message, details } = fromBinary(StatusSchema, encoded as Buffer);
    expect({ code, message }).toEqual({ code: status.RESOURCE_EXHAUSTED, message: "Slow down." });
    expect(details.map((packed) => anyUnpack(packed, ErrorInfoSchema)).find(Boolean)).toMatchObject({
      reason: "REASON_RESOURCE_EXHAUSTED",
      domain: ERROR_DOMAIN,
    });
    expect(details.map((packed) => anyUnpack(packed, RetryInfoSchema)).find(Boolean)?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
  });

  it("is never without a text, and never longer than headers may be", () => {
    const silent = toGrpcStatus(new TidemarkError({ reason: Reason.NOT_LEADER, message: "" }));
    expect(silent.details).toBe("REASON_NOT_LEADER");
    const chatty = toGrpcStatus(new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message: "x".repeat(1_000_000) }));
    expect(chatty.details.length).toBeLessThan(4096);
  });

  it("keeps the trailers that were set beside it", () => {
    const trailers = new Metadata();
    trailers.set("served-by", "broker-1");
    const sent = toGrpcStatus(new TidemarkError({ reason: Reason.NOT_LEADER, message: "no" }), trailers);
    expect(sent.metadata.get("served-by")).toEqual(["broker-1"]);
    expect(trailers.get(STATUS_DETAILS_KEY)).toEqual([]);
  });
});

describe("the table", () => {
  test.each(reasons)("never leaves the outcome of reason %i open", (reason) => {
    expect(traitsOf(reason).outcome).not.toBe(Outcome.UNSPECIFIED);
    expect(traitsOf(reason).status).not.toBe(status.OK);
  });

  it("takes a reason of a newer version for an unknown one", () => {
    expect(traitsOf(9999 as Reason)).toBe(traitsOf(Reason.UNSPECIFIED));
  });

  it("gives way to what the code that fails knows", () => {
    const error = new TidemarkError({
      reason: Reason.NOT_LEADER,
      message: "no",
      outcome: Outcome.UNKNOWN,
      retriable: false,
    });
    expect(error).toMatchObject({ outcome: Outcome.UNKNOWN, retriable: false });
    expect(withOutcome(error, Outcome.APPLIED)).toMatchObject({ reason: Reason.NOT_LEADER, outcome: Outcome.APPLIED });
  });
});

describe("a status without our detail", () => {
  test.each([
    [status.UNAVAILABLE, "Connection dropped", Reason.UNAVAILABLE, Outcome.UNKNOWN],
    [status.UNAVAILABLE, "Stream refused by server", Reason.UNAVAILABLE, Outcome.NOT_APPLIED],
    [status.DEADLINE_EXCEEDED, "Deadline exceeded", Reason.DEADLINE_EXCEEDED, Outcome.UNKNOWN],
    [status.CANCELLED, "Call cancelled", Reason.CANCELLED, Outcome.UNKNOWN],
    [status.RESOURCE_EXHAUSTED, "too much", Reason.RESOURCE_EXHAUSTED, Outcome.UNKNOWN],
    [status.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs 8)", Reason.MESSAGE_TOO_LARGE, Outcome.UNKNOWN],
    [status.UNAUTHENTICATED, "who?", Reason.UNAUTHENTICATED, Outcome.NOT_APPLIED],
    [status.PERMISSION_DENIED, "no", Reason.PERMISSION_DENIED, Outcome.NOT_APPLIED],
    [status.UNIMPLEMENTED, "no", Reason.UNSUPPORTED, Outcome.NOT_APPLIED],
    [status.INTERNAL, "oops", Reason.INTERNAL, Outcome.UNKNOWN],
    [status.DATA_LOSS, "", Reason.UNSPECIFIED, Outcome.UNKNOWN],
  ])("%i %s", (code, details, reason, outcome) => {
    expect(fromGrpcStatus(foreign(code, details))).toMatchObject({ reason, outcome });
  });

  it("is certainly without effect when nothing was sent", () => {
    const error = fromGrpcStatus(foreign(status.UNAVAILABLE, "No connection established"), false);
    expect(error.outcome).toBe(Outcome.NOT_APPLIED);
  });

  it.each([
    ["bytes that are no status", Buffer.from([0xff, 0xff])],
    [
      "somebody else's details",
      Buffer.from(
        toBinary(StatusSchema, create(StatusSchema, { details: [anyPack(ErrorInfoSchema, create(ErrorInfoSchema))] })),
      ),
    ],
  ])("is read from the status itself when its details are %s", (_, encoded) => {
    const received = foreign(status.UNAVAILABLE, "gone");
    received.metadata.set(STATUS_DETAILS_KEY, encoded);
    expect(fromGrpcStatus(received)).toMatchObject({ reason: Reason.UNAVAILABLE, message: "gone" });
  });
});
