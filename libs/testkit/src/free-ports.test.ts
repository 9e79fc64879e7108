import { createServer } from "node:net";
import { expect, it } from "vitest";
import { freePorts } from "./free-ports.ts";

it("gives different ports, which no outgoing connection is given meanwhile", async () => {
  const ports = await freePorts(200);
  expect(new Set(ports).size).toBe(200);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

it("gives no port that somebody listens on, also after many draws", async () => {
  const [taken = 0] = await freePorts(1);
  const server = createServer();
  await new Promise<void>((listening) => server.listen(taken, "127.0.0.1", listening));
  const drawn = await freePorts(2000);
  expect(drawn).not.toContain(taken);
  await new Promise((closed) => server.close(closed));
});
