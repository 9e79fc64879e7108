import type { AppendFailure, Consensus } from "@tidemark/consensus";
import { parseExport } from "@tidemark/consensus/transfer";
import {
  ExportRequestSchema,
  TransferControllerRequestSchema,
  UnsealRequestSchema,
} from "@tidemark/proto/admin/v1/metadata";
import { AllocateProducerIdsRequestSchema } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { TidemarkError } from "@tidemark/rpc";
import { afterEach, expect, it } from "vitest";
import { callContext, createTopic, joinBroker, openHeartbeat, openWatch, register, request } from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const context = callContext();
let world: World;

afterEach(() => world.close());

async function withStandby(): Promise<{ readonly active: Node; readonly standby: Node }> {
  world = await createWorld();
  const first = await world.start(1);
  const second = await world.start(2);
  const active = await world.active();
  await joinBroker(world, active, 1);
  await world.settle(createTopic(active, "orders"));
  return { active, standby: active === first ? second : first };
}

const itself = (error: unknown) => error;

/** The file that a controller writes. */
async function exportFrom({ controller }: Node, seal: boolean) {
  const read = async () => {
    let text = "";
    for await (const { part } of controller.metadata.export(request(ExportRequestSchema, { seal }), context))
      text += part ?? "";
    return parseExport(text);
  };
  return world.settle(read());
}

it("any controller writes a backup, and the cluster goes on", async () => {
  const { active, standby } = await withStandby();
  const backup = await exportFrom(standby, false);
  expect(backup.sealed).toBe(false);
  expect([...backup.entries.keys()]).toContain("/topics/orders");
  await expect(world.settle(createTopic(active, "more"))).resolves.toBeDefined();
});

it("the active controller seals, then nobody leads, and any controller writes the same again", async () => {
  const { active, standby } = await withStandby();
  await expect(exportFrom(standby, true)).rejects.toMatchObject({ reason: Reason.NOT_CONTROLLER });
  const moved = await exportFrom(active, true);
  expect(moved.sealed).toBe(true);
  await world.until(() => !active.controller.isActive, "leadership ended");
  for (const controller of [active, standby]) {
    await expect(world.settle(createTopic(controller, "late"))).rejects.toMatchObject({
      reason: Reason.METADATA_SEALED,
      outcome: Outcome.NOT_APPLIED,
      message: expect.stringContaining("`tidemark metadata unseal`") as string,
    });
  }
  const again = await exportFrom(standby, true);
  expect(again.checksum).toBe(moved.checksum);
  expect([active.controller.isActive, standby.controller.isActive]).toEqual([false, false]);
});

it("34g brokers are told of the seal, with no epoch and no controller to turn to", async () => {
  const { active, standby } = await withStandby();
  await exportFrom(active, true);
  await world.until(() => !active.controller.isActive, "leadership ended");
  for (const at of [active, standby]) {
    const watch = openWatch(at);
    const stream = openHeartbeat(at, { brokerId: 1, brokerEpoch: 1 });
    stream.beat();
    await world.until(() => watch.failure() !== undefined && stream.failure() !== undefined, "both streams refused");
    const ids = request(AllocateProducerIdsRequestSchema, { brokerId: 1, brokerEpoch: 1 });
    const refused = [
      await world.settle(register(at, 2).catch(itself)),
      await world.settle(Promise.resolve(at.controller.cluster.allocateProducerIds(ids, context)).catch(itself)),
      stream.failure(),
      watch.failure(),
    ];
    for (const error of refused) {
      expect(error).toMatchObject({ reason: Reason.METADATA_SEALED, outcome: Outcome.NOT_APPLIED });
      expect((error as TidemarkError).fields).toEqual({});
    }
    expect([stream.answers, watch.frames]).toEqual([[], []]);
  }
});

it("a seal that is taken off lets a controller lead again", async () => {
  const { active, standby } = await withStandby();
  const unseal = () => world.settle(standby.controller.metadata.unseal(request(UnsealRequestSchema), context));
  await expect(unseal()).rejects.toMatchObject({ reason: Reason.INVALID_ARGUMENT });
  await exportFrom(active, true);
  await unseal();
  const next = await world.active();
  await expect(world.settle(createTopic(next, "after"))).resolves.toBeDefined();
});

it.each([
  {
    failure: { kind: "refused", reason: "NO_SPACE", message: "full" },
    reason: Reason.METADATA_NO_SPACE,
    outcome: Outcome.NOT_APPLIED,
  },
  {
    failure: { kind: "refused", reason: "STORE_REFUSED", message: "denied" },
    reason: Reason.UNAVAILABLE,
    outcome: Outcome.NOT_APPLIED,
  },
  { failure: { kind: "unknown", message: "lost" }, reason: Reason.METADATA_OUTCOME_UNKNOWN, outcome: Outcome.UNKNOWN },
] satisfies { failure: AppendFailure; reason: Reason; outcome: Outcome }[])(
  "a controller does not say that it handed over what the store did not take: $failure.reason $failure.kind",
  async ({ failure, reason, outcome }) => {
    world = await createWorld();
    const wrap = (consensus: Consensus): Consensus => ({ ...consensus, resign: () => Promise.resolve(failure) });
    const node = await world.start(1, { wrap });
    await world.active();
    const transfer = node.controller.metadata.transferController(request(TransferControllerRequestSchema), context);
    await expect(world.settle(Promise.resolve(transfer))).rejects.toMatchObject({
      reason,
      outcome,
      message: expect.stringContaining("is not handed over") as string,
    });
  },
);
