import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { brokerEpoch } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { InitProducerRequestSchema } from "@tidemark/proto/log/v1";
import { TidemarkError } from "@tidemark/rpc";
import { describe, expect, it, test, vi } from "vitest";
import { createInitProducer } from "../api/init-producer.ts";
import { createProducerIds } from "./producer-ids.ts";
import { runtime, self, startController } from "./testing/scripted-controller.ts";

describe("producer ids", () => {
  it("are each given out once, from blocks that are asked for one at a time", async () => {
    const { state, initProducer } = await startProducerIds();
    const given = await Promise.all(Array.from({ length: 8 }, () => initProducer({})));
    expect(given.map(({ producerId }) => producerId)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
    expect(given.every(({ producerEpoch }) => producerEpoch === 0)).toBe(true);
    expect(state.blocks.slice(0, 3)).toMatchObject(Array.from({ length: 3 }, () => ({ brokerId: 1, brokerEpoch: 5 })));
  });

  it("stay with a producer that raises its epoch, until its epochs are used up", async () => {
    const { initProducer } = await startProducerIds();
    expect(await initProducer({ producerId: 77n, producerEpoch: 4 })).toEqual({ producerId: 77n, producerEpoch: 5 });
    expect(await initProducer({ producerId: 77n, producerEpoch: 32_767 })).toEqual({
      producerId: 1n,
      producerEpoch: 0,
    });
  });

  it("are asked for again after the controller had none", async () => {
    const { state, initProducer } = await startProducerIds();
    state.blockError = new TidemarkError({ reason: Reason.STALE_BROKER_EPOCH, message: "register anew" });
    await expect(initProducer({})).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      retriable: true,
      outcome: Outcome.NOT_APPLIED,
    });
    state.blockError = undefined;
    expect(await initProducer({})).toEqual({ producerId: 3n, producerEpoch: 0 });
  });

  const noController = new TidemarkError({ reason: Reason.UNAVAILABLE, message: "nobody is there" });

  it("are in hand from the registration on, so that producers can begin without a controller", async () => {
    const { state, ids, initProducer } = await startProducerIds();
    const { signal } = new AbortController();
    await Promise.all([ids.stock(signal), ids.stock(signal)]);
    await ids.stock(signal);
    expect(state.blocks).toHaveLength(1);
    state.blockError = noController;
    expect([await initProducer({}), await initProducer({})].map(({ producerId }) => producerId)).toEqual([1n, 2n]);
    await expect(initProducer({})).rejects.toMatchObject({ reason: Reason.UNAVAILABLE, retriable: true });
  });

  it("are asked for before those in hand are used up", async () => {
    const { state, initProducer } = await startProducerIds();
    expect((await initProducer({})).producerId).toBe(1n);
    await vi.waitFor(() => expect(state.blocks).toHaveLength(2), { timeout: 20_000 });
    state.blockError = noController;
    const given: bigint[] = [];
    for (let id = 2n; id <= 5n; id++) given.push((await initProducer({})).producerId);
    expect(given).toEqual([2n, 3n, 4n, 5n]);
  });

  it("are asked for at a registration until the controller gives some", async () => {
    const { state, ids } = await startProducerIds();
    state.blockError = noController;
    const stocked = ids.stock(new AbortController().signal);
    await vi.waitFor(() => expect(state.blocks.length).toBeGreaterThan(1), { timeout: 20_000 });
    state.blockError = undefined;
    await stocked;
    state.blockError = noController;
    expect(await ids.next()).toBeGreaterThan(0n);
  });

  it("are not asked for by a broker that stops", async () => {
    const { state, ids } = await startProducerIds();
    state.blockError = noController;
    const stop = new AbortController();
    const stocked = ids.stock(stop.signal);
    await vi.waitFor(() => expect(state.blocks.length).toBeGreaterThan(0), { timeout: 20_000 });
    stop.abort();
    await stocked;
    const asked = state.blocks.length;
    await ids.stock(stop.signal);
    expect(state.blocks).toHaveLength(asked);
  });

  test.each([
    [{ producerId: 7n }, /together/],
    [{ producerEpoch: 7 }, /together/],
    [{ producerId: -1n, producerEpoch: 0 }, /begin with 0/],
    [{ producerId: 1n, producerEpoch: 32_768 }, /largest one is 32767/],
  ])("are refused for %o", async (request, message) => {
    const { initProducer } = await startProducerIds();
    const error = await initProducer(request).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: Reason.INVALID_ARGUMENT });
    expect(String(error)).toMatch(message);
  });
});

async function startProducerIds() {
  const { state, controller } = await startController();
  const ids = createProducerIds({
    controller,
    brokerId: self,
    brokerEpoch: () => brokerEpoch(5),
    runtime,
    onHeard: () => {},
  });
  const handle = createInitProducer(ids);
  const initProducer = (request: MessageInitShape<typeof InitProducerRequestSchema>) =>
    handle(create(InitProducerRequestSchema, request));
  return { state, ids, initProducer };
}
