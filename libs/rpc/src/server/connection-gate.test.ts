import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { createConnectionGate } from "./connection-gate.ts";

const gateOf = (limits: { total?: number; perAddress?: number; newPerAddressPerSecond?: number }) => {
  const time = createManualTime();
  const gate = createConnectionGate(time.clock, {
    total: 100,
    perAddress: 100,
    newPerAddressPerSecond: 100,
    ...limits,
  });
  return { gate, time };
};

it("refuses what is over the limit in all, until one closes", () => {
  const { gate } = gateOf({ total: 2 });
  expect(["a", "b", "c"].map((address) => gate.admit(address))).toEqual([undefined, undefined, "total"]);
  gate.release("a");
  expect(gate.admit("c")).toBeUndefined();
});

it("refuses what is over the limit of one address, and nobody else", () => {
  const { gate } = gateOf({ perAddress: 1 });
  expect(["a", "a", "b"].map((address) => gate.admit(address))).toEqual([undefined, "perAddress", undefined]);
  gate.release("a");
  expect(gate.admit("a")).toBeUndefined();
});

it("refuses an address that comes too often, closed connections included, until the next second", async () => {
  const { gate, time } = gateOf({ newPerAddressPerSecond: 2 });
  const knock = () => {
    const refusal = gate.admit("a");
    if (refusal === undefined) gate.release("a");
    return refusal;
  };
  expect([knock(), knock(), knock()]).toEqual([undefined, undefined, "newPerAddressPerSecond"]);
  await time.advance(1000);
  expect(knock()).toBeUndefined();
});
