import { create } from "@bufbuild/protobuf";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks, type ProduceStreamResponse, ProduceStreamResponseSchema } from "@tidemark/proto/log/v1";
import { type RawListener, TidemarkError } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import type { ProduceMessage } from "../connection.ts";
import { openStreamLink, type SettleMessage } from "./stream-link.ts";

function setUp(inFlightBytesMax = 1000) {
  const time = createManualTime();
  const written: ProduceMessage[] = [];
  const ends: (TidemarkError | undefined)[] = [];
  let listener: RawListener<Pick<ProduceStreamResponse, "results">> | undefined;
  let rooms = 0;
  const link = openStreamLink({
    endpoint: "broker:1",
    runtime: time,
    inFlightBytesMax,
    onRoom: () => {
      rooms += 1;
    },
    open(_, createListener) {
      listener = createListener();
      return {
        write: (message) => {
          written.push(message);
          return true;
        },
        end: (error) => void ends.push(error),
      };
    },
  });
  const outcomes: Parameters<SettleMessage>[0][] = [];
  return {
    time,
    link,
    written,
    ends,
    outcomes,
    rooms: () => rooms,
    send(bytes: number, timeoutMs = 10_000) {
      const message = { topic: "t", partition: 0, acks: Acks.ALL, batches: new Uint8Array(bytes) };
      link.send(message, timeoutMs, (outcome) => outcomes.push(outcome));
    },
    answer: (...sequences: readonly bigint[]) =>
      listener?.onMessage(
        create(ProduceStreamResponseSchema, {
          results: sequences.map((sequence) => ({ sequence, baseOffset: sequence * 10n })),
        }),
      ),
    close: (error?: TidemarkError) => listener?.onClose?.(error),
  };
}

const outcomesOf = (outcomes: readonly Parameters<SettleMessage>[0][]) =>
  outcomes.map((outcome) => (outcome instanceof TidemarkError ? outcome.outcome : outcome.baseOffset));

test("one answer settles many messages, each with its own", () => {
  const { send, answer, outcomes, time } = setUp();
  send(1);
  send(1);
  send(1);
  answer(0n, 2n);
  expect(outcomesOf(outcomes)).toEqual([0n, 20n]);
  answer(1n);
  expect(outcomesOf(outcomes)).toEqual([0n, 20n, 10n]);
  expect(time.pending()).toBe(0);
});

test("there is no room while too many bytes wait for their answers, and whoever waits is told when there is", () => {
  const { send, answer, link, rooms } = setUp(1000);
  send(600);
  expect(link.hasRoom).toBe(true);
  send(600);
  expect([link.hasRoom, rooms()]).toEqual([false, 0]);
  answer(0n);
  expect([link.hasRoom, rooms()]).toEqual([true, 1]);
});

test("what was not answered when the stream ends is unknown, unless there never was a connection", () => {
  const broken = setUp();
  broken.send(1);
  broken.close(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "Stopping" }));
  expect(outcomesOf(broken.outcomes)).toEqual([Outcome.UNKNOWN]);
  const ended = setUp();
  ended.send(1);
  ended.close();
  expect(outcomesOf(ended.outcomes)).toEqual([Outcome.UNKNOWN]);
  const refused = setUp();
  refused.send(1);
  refused.close(new TidemarkError({ reason: Reason.UNAVAILABLE, message: "-", outcome: Outcome.NOT_APPLIED }));
  refused.send(1);
  expect(outcomesOf(refused.outcomes)).toEqual([Outcome.NOT_APPLIED, Outcome.NOT_APPLIED]);
});

test("49: an endpoint that says nothing is given up in time, with everything that waits for it", async () => {
  const { send, outcomes, ends, link, time } = setUp();
  send(1, 60_000);
  send(1, 5000);
  await time.advance(5900);
  expect(outcomes).toEqual([]);
  await time.advance(200);
  expect(outcomesOf(outcomes)).toEqual([Outcome.UNKNOWN, Outcome.UNKNOWN]);
  expect([link.isOpen, ends.length, time.pending()]).toEqual([false, 1, 0]);
});

test("an answer moves the end on to the next message's", async () => {
  const { send, answer, outcomes, time } = setUp();
  send(1, 1000);
  send(1, 5000);
  await time.advance(1500);
  answer(0n);
  await time.advance(4000);
  expect(outcomesOf(outcomes)).toEqual([0n]);
  await time.advance(1000);
  expect(outcomesOf(outcomes)).toEqual([0n, Outcome.UNKNOWN]);
});
