import { ElectionCause, ElectionRule, SessionChangeKind } from "@tidemark/client";
import { describe, expect, test } from "vitest";
import { eventJson, eventLine } from "./event-line.ts";

const time = { $typeName: "google.protobuf.Timestamp" as const, seconds: 1_700_000_000n, nanos: 250_000_000 };
const at = "2023-11-14T22:13:20.250Z";

type Event = Parameters<typeof eventLine>[0]["event"];

const events: Readonly<Record<string, Event>> = {
  election: {
    case: "election",
    value: {
      $typeName: "tidemark.admin.v1.Election",
      topic: "orders",
      partition: 3,
      cause: ElectionCause.CONNECTION_LOST,
      rule: ElectionRule.ISR,
      oldLeader: 1,
      leaderEpoch: 7,
      isr: [2, 3],
      elr: [],
      revision: 99n,
      time,
    },
  },
  isr: {
    case: "isrChange",
    value: {
      $typeName: "tidemark.admin.v1.IsrChange",
      topic: "orders",
      partition: 3,
      before: [1, 2, 3],
      after: [2],
      elr: [3],
      partitionEpoch: 12,
      revision: 100n,
      time,
    },
  },
  receipt: {
    case: "receipt",
    value: {
      $typeName: "tidemark.admin.v1.Receipt",
      topic: "orders",
      topicId: "id",
      partition: 3,
      leader: 2,
      leaderEpoch: 8,
      commanded: true,
      positions: [],
      cuts: [
        {
          $typeName: "tidemark.metadata.v1.ReplicaCut",
          brokerId: 1,
          firstOffset: 40n,
          logEnd: 42n,
          copiedAnew: false,
        },
        { $typeName: "tidemark.metadata.v1.ReplicaCut", brokerId: 4, firstOffset: 0n, logEnd: 0n, copiedAnew: true },
      ],
      awaited: [3],
      time,
    },
  },
  session: {
    case: "session",
    value: {
      $typeName: "tidemark.admin.v1.SessionChange",
      brokerId: 1,
      brokerEpoch: 5,
      kind: SessionChangeKind.ENDED,
      cause: ElectionCause.SESSION_TIMEOUT,
      revision: 98n,
      time,
    },
  },
};

describe("an event", () => {
  test.each([
    [
      "election",
      "election  orders-3: leader 1 -> none by isr, because of connection lost; leader epoch 7, ISR 2,3, ELR none",
    ],
    ["isr", "isr       orders-3: ISR 1,2,3 -> 2, ELR 3"],
    [
      "receipt",
      "receipt   orders-3: unclean election of 2 (commanded), leader epoch 8; broker 1 cut 2 from offset 40, broker 4 had lost its log and copies it anew, not reported yet by 3",
    ],
    ["session", "session   broker 1 ended, because of session timeout; broker epoch 5"],
  ])("of kind %s is one line with its time", (kind, text) => {
    expect(eventLine({ event: events[kind] as Event })).toBe(`${at}  ${text}`);
  });

  test("is an object for programs, in the API's words", () => {
    expect(eventJson({ event: events.election as Event })).toMatchObject({
      event: "election",
      time: at,
      cause: "connection lost",
      rule: "isr",
      oldLeader: 1,
      newLeader: null,
    });
    expect(eventJson({ event: events.session as Event })).toMatchObject({ event: "session", cause: "session timeout" });
    expect(eventJson({ event: events.receipt as Event })).toMatchObject({
      cuts: [
        { broker: 1, firstOffset: 40n, copiedAnew: false },
        { broker: 4, copiedAnew: true },
      ],
    });
    expect(eventJson({ event: events.isr as Event })).toMatchObject({ event: "isr", after: [2], partitionEpoch: 12 });
  });

  test("of a kind that is not known is passed over", () => {
    expect(eventLine({ event: { case: undefined } })).toBeUndefined();
    expect(eventJson({ event: { case: undefined } })).toBeUndefined();
  });
});
