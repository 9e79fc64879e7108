import { createServer } from "node:net";
import { expect, it } from "vitest";
import { freePorts } from "./free-ports.ts";

it("gives different ports, which no outgoing connection is given meanwhile", async () => {
  const ports = await freePorts(20);
  expect(new Set(ports).size).toBe(20);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

it("gives no port that somebody listens on, and none twice", async () => {
  const [taken = 0, free = 0, other = 0] = await freePorts(3);
  const server = createServer();
  await new Promise<void>((listening) => server.listen(taken, "127.0.0.1", listening));
  const draws = [taken, free, free, taken, other];
  expect(await freePorts(2, () => draws.shift() ?? 0)).toEqual([free, other]);
  await new Promise((closed) => server.close(closed));
});
