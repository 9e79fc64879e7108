import { Socket } from "node:net";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { DEFAULT_CONNECTION_LIMITS } from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { createConnections } from "./connections.ts";

it("survives the error of a socket that was refused", () => {
  const connections = createConnections({
    ...createManualTime(),
    limits: DEFAULT_CONNECTION_LIMITS,
    processBudget: createByteBudget({ name: "process", limit: 1 }),
    queueLimit: 1,
    accept: () => expect.unreachable(),
    refuse: () => undefined,
    onRefused: () => undefined,
  });
  // Its peer has gone already: it has no address any more.
  const socket = new Socket();
  connections.onSocket(socket);
  expect(socket.destroyed).toBe(true);
  expect(() => socket.emit("error", new Error("ECONNRESET"))).not.toThrow();
  expect(connections.count).toBe(0);
});
