import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type BatchProducer, encodeBatch, portableCrc32c } from "@tidemark/record";
import { type CallContext, TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FakeBroker } from "../testing/fake-broker.ts";
import { startWorld, type World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());
beforeEach(() => world.reset());

const batchOf = (producer?: BatchProducer) =>
  encodeBatch([{ timestamp: 1n, key: null, value: new Uint8Array(3), headers: [] }], {
    crc32c: portableCrc32c,
    ...(producer === undefined ? {} : { producer }),
  });
const first = batchOf({ id: 7n, epoch: 0, sequence: 0 });
const produce = (batches: Uint8Array) => world.log.produce({ topic: "orders", partition: 0, batches, timeoutMs: 2000 });
const lost = () => new TidemarkError({ reason: Reason.UNAVAILABLE, message: "lost", outcome: Outcome.UNKNOWN });

/** Answers the first call in one way, and the others as usual. */
function failOnce(broker: FakeBroker, error: TidemarkError): void {
  const usual = broker.produce;
  broker.produce = () => {
    broker.produce = usual;
    throw error;
  };
}

describe("a batch with a producer id", () => {
  it("is sent again where the answer was lost: its leader stores it once (43)", async () => {
    failOnce(world.broker(1), lost());
    expect((await produce(first)).results).toMatchObject([{ partition: 0, baseOffset: 0n }]);
    expect(world.broker(1).produced.map(({ batches }) => [...batches])).toEqual([[...first], [...first]]);
  });

  it("goes to the leader that the answer of unknown outcome names, and not back (45)", async () => {
    const { endpoint, id } = world.broker(2);
    const leader = { broker: id, endpoint, leaderEpoch: 5 };
    world.broker(1).produce = () => {
      throw new TidemarkError({ reason: Reason.NOT_LEADER, message: "deposed", outcome: Outcome.UNKNOWN, leader });
    };
    await produce(first);
    await produce(batchOf({ id: 7n, epoch: 0, sequence: 1 }));
    expect([world.broker(1).produced.length, world.broker(2).produced.length]).toEqual([1, 2]);
  });

  it("ends as unknown where one try did and a later one was refused (P12)", async () => {
    const broker = world.broker(1);
    broker.produce = () => {
      broker.produce = () => {
        throw new TidemarkError({ reason: Reason.UNKNOWN_PRODUCER, message: "expired" });
      };
      throw lost();
    };
    await expect(produce(first)).rejects.toMatchObject({ reason: Reason.UNKNOWN_PRODUCER, outcome: Outcome.UNKNOWN });
  });

  it("is the only one of its kind: one without is not sent again", async () => {
    failOnce(world.broker(1), lost());
    await expect(produce(batchOf())).rejects.toMatchObject({ outcome: Outcome.UNKNOWN });
    failOnce(world.broker(1), lost());
    await expect(produce(new Uint8Array([...first, ...batchOf()]))).rejects.toMatchObject({ outcome: Outcome.UNKNOWN });
    expect(world.broker(1).produced).toHaveLength(2);
  });
});

interface Identity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

describe("a producer id", () => {
  it("is given out by any broker, and by another one where that cannot", async () => {
    for (const { others } of world.brokers) {
      others.initProducer = () => {
        for (const each of world.brokers) each.others.initProducer = () => ({ producerId: 12n, producerEpoch: 0 });
        throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "no block", outcome: Outcome.NOT_APPLIED });
      };
    }
    expect(await world.log.initProducer({})).toMatchObject({ producerId: 12n, producerEpoch: 0 });
  });

  /** What the brokers answer, whichever of them is asked: the first who is asked, and all after that. */
  const answer = (first: (call: CallContext) => Promise<Identity>, later: () => Identity) => {
    let asked = 0;
    for (const { others } of world.brokers) others.initProducer = (_, call) => (asked++ === 0 ? first(call) : later());
  };

  it("is asked of another broker beside one that says nothing, which is left when that one answers", async () => {
    const left: boolean[] = [];
    const silent = ({ signal }: CallContext) =>
      new Promise<Identity>((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          left.push(true);
          reject(new TidemarkError({ reason: Reason.CANCELLED, message: "left" }));
        });
      });
    answer(silent, () => ({ producerId: 13n, producerEpoch: 0 }));
    expect(await world.log.initProducer({}, { timeoutMs: 20_000 })).toMatchObject({ producerId: 13n });
    await waitFor("the silent one to be left", () => left.length === 1);
  });

  it("comes from a broker that takes its time, though another one that was asked beside it cannot give one", async () => {
    const slow = createDeferred<Identity>();
    let refusals = 0;
    answer(
      () => slow.promise,
      () => {
        refusals += 1;
        // The second shows that the first was read, and ended nothing.
        if (refusals === 2) slow.resolve({ producerId: 14n, producerEpoch: 0 });
        throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "no block", outcome: Outcome.NOT_APPLIED });
      },
    );
    expect(await world.log.initProducer({}, { timeoutMs: 20_000 })).toMatchObject({ producerId: 14n });
  });

  it("is refused with what the broker says of a bad request", async () => {
    for (const { others } of world.brokers) {
      others.initProducer = () => {
        throw new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message: "together" });
      };
    }
    await expect(world.log.initProducer({ producerId: 1n })).rejects.toMatchObject({ reason: Reason.INVALID_ARGUMENT });
  });
});
