import { createServer } from "node:net";
import { expect, it, vi } from "vitest";

/** As a process has it that has drawn nothing yet. */
async function anotherProcess() {
  vi.resetModules();
  const { freePorts } = await import("./free-ports.ts");
  return freePorts;
}

/** The first ports of two blocks that nobody has: each is claimed by then. */
async function freeBlocks(): Promise<readonly [number, number]> {
  const [one = 0] = await (await anotherProcess())(1);
  const [two = 0] = await (await anotherProcess())(1);
  return [one - 1, two - 1];
}

it("gives different ports, which no outgoing connection is given meanwhile", async () => {
  const freePorts = await anotherProcess();
  const ports = [...(await freePorts(20)), ...(await freePorts(30))];
  expect(new Set(ports).size).toBe(50);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

it("gives none that another process may give, though nobody listens there yet", async () => {
  const [mine, others] = await freeBlocks();
  const draws = [mine, others, mine];
  let further = Math.max(mine, others);
  const freePorts = await anotherProcess();
  const [port = 0] = await freePorts(1, () => draws.shift() ?? (further += 20));
  expect([mine, others]).not.toContain(port - 1);
  expect(draws).toEqual([]);
});

it("gives none that somebody listens on", async () => {
  const freePorts = await anotherProcess();
  const [last = 0] = await freePorts(1);
  const server = createServer();
  await new Promise<void>((listening) => server.listen(last + 1, "127.0.0.1", listening));
  expect(await freePorts(2)).toEqual([last + 2, last + 3]);
  await new Promise((closed) => server.close(closed));
});
